package load

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sleepOn waits for input on any of the descriptors. The scheduler is not told:
// it would give our place to another thread, and getting it back takes longer
// than most of these waits.
func sleepOn(fds []int, d time.Duration) {
	var list [16]unix.PollFd
	n := 0
	for _, fd := range fds {
		if n < len(list) {
			list[n] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} //nolint:gosec // a descriptor
			n++
		}
	}
	ts := unix.NsecToTimespec(int64(d))
	_, _, _ = syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&list[0])), uintptr(n), //nolint:gosec // ppoll(2)
		uintptr(unsafe.Pointer(&ts)), 0, 0, 0) //nolint:gosec // ppoll(2)
}

// sharpen lets the thread wake up to the microsecond; the kernel's default is to
// round to fifty.
func sharpen() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// listenOn makes a socket bound to an address.
func listenOn(kind int, local netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer) != nil { // not root
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, socketBuffer)
	if err := unix.Bind(fd, sockaddr4(local)); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("bind %s: %w", local, err)
	}
	return fd, nil
}

func sockaddr4(a netip.AddrPort) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// batch is the memory of one recvmmsg or sendmmsg.
type batch struct {
	hdrs [batchSize]mmsghdr
	iovs [batchSize]unix.Iovec
}

func (b *batch) init() {
	for i := range b.hdrs {
		h := &b.hdrs[i].hdr
		h.Iov = &b.iovs[i]
		h.SetIovlen(1)
	}
}

// mmsg does recvmmsg or sendmmsg without a word to the scheduler: neither blocks.
func (b *batch) mmsg(call uintptr, fd, first, n int) (int, syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&b.hdrs[first])), //nolint:gosec // recvmmsg(2)
		uintptr(n), unix.MSG_DONTWAIT, 0, 0) //nolint:gosec // at most batchSize
	return int(r), errno //nolint:gosec // at most batchSize
}
