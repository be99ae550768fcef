package load

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const datagramRoom = 4096

// udpLink is a datagram socket with batches in both directions. It is connected:
// each end of the generator has one neighbour only, and the kernel need not look
// for the way each time.
type udpLink struct {
	fd      int
	in, out batch
	bufs    [batchSize][datagramRoom]byte
	mem     []byte // messages that wait for flush
	ends    []int
	err     error
}

func openUDP(local, target netip.AddrPort) (link, error) {
	fd, err := listenOn(unix.SOCK_DGRAM, local)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, sockaddr4(target)); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("connect to %s: %w", target, err)
	}
	l := &udpLink{fd: fd, mem: make([]byte, 0, 2*batchSize*datagramRoom)}
	l.in.init()
	l.out.init()
	for i := range l.bufs {
		l.in.iovs[i].Base = &l.bufs[i][0]
		l.in.iovs[i].SetLen(datagramRoom)
	}
	return l, nil
}

func (l *udpLink) receive(handle func([]byte, origin)) (bool, error) {
	n, errno := l.in.mmsg(unix.SYS_RECVMMSG, l.fd, 0, batchSize)
	switch errno { //nolint:exhaustive // the rest is one case
	case 0:
	case syscall.EAGAIN, syscall.EINTR:
		return false, nil
	case syscall.ECONNREFUSED:
		return false, errGone
	default:
		return false, errno
	}
	for i := range n {
		handle(l.bufs[i][:l.in.hdrs[i].len], origin{})
	}
	return true, nil
}

func (l *udpLink) begin() []byte { return l.mem }

func (l *udpLink) request(b []byte) { l.queue(b) }

func (l *udpLink) reply(b []byte, _ origin) { l.queue(b) }

func (l *udpLink) queue(b []byte) {
	l.mem = b
	l.ends = append(l.ends, len(b))
	if len(l.ends) == batchSize {
		l.err = l.flush()
	}
}

func (l *udpLink) flush() error {
	if err := l.err; err != nil {
		l.err = nil
		return err
	}
	from := 0
	for i, end := range l.ends {
		l.out.iovs[i].Base = &l.mem[from]
		l.out.iovs[i].SetLen(end - from)
		from = end
	}
	err := l.send(len(l.ends))
	l.mem, l.ends = l.mem[:0], l.ends[:0]
	return err
}

// send keeps trying while the socket's buffer is full, which on the loopback is
// a matter of microseconds.
func (l *udpLink) send(n int) error {
	for done := 0; done < n; {
		k, errno := l.out.mmsg(unix.SYS_SENDMMSG, l.fd, done, n-done)
		switch errno { //nolint:exhaustive // the rest is one case
		case 0:
			done += k
		case syscall.EAGAIN, syscall.EINTR:
		case syscall.ECONNREFUSED:
			return errGone
		default:
			return errno
		}
	}
	return nil
}

func (l *udpLink) backlog() int { return 0 }

func (l *udpLink) descriptors() []int { return []int{l.fd} }

func (l *udpLink) wait(other link, d time.Duration) {
	sleepOn(append(l.descriptors(), other.descriptors()...), d)
}

func (l *udpLink) close() { _ = unix.Close(l.fd) }
