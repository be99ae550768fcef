//go:build linux

package transport

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// direct is a TCP connection whose system calls do not notify Go's scheduler. They never block,
// and notifying it wakes the runtime's monitor thread if that sleeps: at a low rate this happens
// at every message, and costs as much as the message itself. It also reports when a Write has to
// wait, so that a deadline need not be set for each.
//
// # Why
//
// A NOTIFY over TCP costs 6.5 us with it and 8.2 us without, saturated; 53 and 85 us at
// 2,000/s (medians of three runs in turn).
type direct struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out transfer
}

// transfer is the state of one Read or Write, with its function made once, so that
// it allocates nothing.
type transfer struct {
	b     []byte
	n     int
	errno syscall.Errno
	do    func(fd uintptr) bool
	// stalls, if not nil, is called when a Write has to wait for the first time; false: the
	// Write must not wait. stalled tells that it was called.
	stalls  func() bool
	stalled bool
}

// straight gives a direct connection for a TCP connection, and any other as it is.
func straight(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	d := &direct{TCPConn: tcp, raw: raw}
	d.in.do, d.out.do = d.in.read, d.out.write
	return d
}

// call makes one system call, and again if a signal came between. false: the
// descriptor is not ready.
func (t *transfer) call(trap, fd uintptr, b []byte) bool {
	for {
		n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))) //nolint:gosec // read(2), write(2)
		switch errno {
		case 0:
			t.n += int(n) //nolint:gosec // at most len(b)
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.errno = errno
			return true
		}
	}
}

func (t *transfer) read(fd uintptr) bool { return t.call(syscall.SYS_READ, fd, t.b) }

// write goes on until all is written.
func (t *transfer) write(fd uintptr) bool {
	for t.n < len(t.b) && t.errno == 0 {
		if t.call(syscall.SYS_WRITE, fd, t.b[t.n:]) {
			continue
		}
		if !t.stalled && t.stalls != nil {
			t.stalled = true
			if !t.stalls() {
				t.errno = syscall.ECANCELED
				return true
			}
		}
		return false
	}
	return true
}

// run does a transfer with one of the methods of a RawConn, which waits and respects deadlines.
func (t *transfer) run(wait func(func(uintptr) bool) error, name string, b []byte) (int, error) {
	t.b, t.n, t.errno, t.stalled = b, 0, 0, false
	err := wait(t.do)
	t.b = nil
	if err == nil && t.errno != 0 {
		err = os.NewSyscallError(name, t.errno)
	}
	return t.n, err
}

// Read implements net.Conn. One goroutine reads at a time.
func (d *direct) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := d.in.run(d.raw.Read, "read", b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// onStall sets the function that is called when a Write has to wait: f can set the deadline then,
// whose timer costs more than most writes. f tells whether to wait.
func (d *direct) onStall(f func() bool) { d.out.stalls = f }
func (d *direct) stalled() bool         { return d.out.stalled }

// Write implements net.Conn. One goroutine writes at a time.
func (d *direct) Write(b []byte) (int, error) { return d.out.run(d.raw.Write, "write", b) }
