//go:build linux

package datagram

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The indices of SO_MEMINFO (linux/sock_diag.h).
const (
	memReceiveBuffer = 1
	memSendBuffer    = 3
	memDrops         = 8
	memPlaces        = 9
)

// memory asks the kernel about the socket, without reading /proc; false: the kernel does not tell.
func (b *batcher) memory() (places [memPlaces]uint32, ok bool) {
	if b.raw == nil {
		return places, false
	}
	size := uint32(unsafe.Sizeof(places))
	err := b.raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&places)), uintptr(unsafe.Pointer(&size)), 0) //nolint:gosec // getsockopt(2)
		ok = errno == 0 && size == uint32(unsafe.Sizeof(places))
	})
	return places, ok && err == nil
}

// resize asks for kernel buffers beyond the limits of the host, which only a
// privileged process is given.
func (b *batcher) resize(bytes int) {
	_ = b.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bytes)
	})
}

// dropped is the kernel's own count of the datagrams for which the socket had no
// room; it begins at 0 again after 32 bits.
func (b *batcher) dropped() (uint32, bool) {
	m, ok := b.memory()
	return m[memDrops], ok
}

// buffers are the sizes that were really given. The kernel doubles what is asked
// for, in order to pay for its own structures from it (socket(7)).
func (b *batcher) buffers() (receive, send int, ok bool) {
	m, ok := b.memory()
	return int(m[memReceiveBuffer] / 2), int(m[memSendBuffer] / 2), ok
}
