//go:build linux

package datagram

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pollerSys has the descriptors of a poller: an epoll instance of its own (epoll(7)), because that
// of the runtime would wake a thread for every datagram, and a bell to end the wait (eventfd(2)).
type pollerSys struct {
	epoll, bell int
	fds         []int
	events      [8]unix.EpollEvent
	n           int // how many of the events there are
	// round counts the waits, read has the round in which each socket was read last.
	round uint64
	read  []uint64

	held  bool
	vain  int       // while held: how many waits in a row found nothing
	waits int       // while not held: how many waits there were
	since time.Time // and since when
	// parking is the epoll instance in the runtime's poller, to park on while the poller is not
	// held; look tells whether there are events.
	parking *os.File
	parked  syscall.RawConn
	look    func(fd uintptr) bool
}

// NewPoller makes a poller for sockets that nobody reads yet, and takes them out of the runtime's
// poller. If one is no UDP socket of the system it returns errors.ErrUnsupported and changes
// nothing.
func NewPoller(packets []*Packet) (*Poller, error) {
	for _, p := range packets {
		if p.raw == nil {
			return nil, errors.ErrUnsupported
		}
	}
	l := &Poller{packets: packets, pollerSys: pollerSys{epoll: -1, bell: -1, read: make([]uint64, len(packets))}}
	if err := l.open(); err != nil {
		l.free()
		return nil, err
	}
	return l, nil
}

func (l *Poller) open() (err error) {
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if l.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if err := l.watch(l.bell, len(l.packets)); err != nil {
		return err
	}
	for i, p := range l.packets {
		if err := p.leavePoller(); err != nil {
			return fmt.Errorf("socket %s: %w", p.local, err)
		}
		var e error
		if err := p.raw.Control(func(fd uintptr) { e = l.watch(int(fd), i) }); err != nil || e != nil {
			return errors.Join(err, e)
		}
		p.poller = l
	}
	l.look = l.glance
	return l.park()
}

// watch adds a descriptor, with the number that its events have.
func (l *Poller) watch(fd, number int) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd,
		&unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(number)})) //nolint:gosec // a few
}

// ring ends the wait of Serve.
func (s *pollerSys) ring() { _, _ = unix.Write(s.bell, []byte{0, 0, 0, 0, 0, 0, 0, 1}) }

// free closes the descriptors of the poller.
func (s *pollerSys) free() {
	if s.parking != nil {
		_ = s.parking.Close()
	}
	for _, fd := range []int{s.epoll, s.bell} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	s.parking, s.epoll, s.bell = nil, -1, -1
}

// leavePoller moves the socket to a descriptor that the runtime's poller does not
// know.
func (p *Packet) leavePoller() error {
	var fd int
	var errno error
	err := p.raw.Control(func(old uintptr) { fd, errno = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, os.NewSyscallError("fcntl", errno)); err != nil {
		return err
	}
	_ = unix.SetNonblock(fd, false) // os.NewFile would put it into the poller; every call says MSG_DONTWAIT
	file := os.NewFile(uintptr(fd), p.local.String())
	raw, err := file.SyscallConn()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	_ = p.closer.Close()
	p.raw, p.alone, p.closer = raw, true, file
	return nil
}

// Serve waits for datagrams, reads what is there from each socket in turn, up to
// BatchSize, and calls handle with the socket's number, again and again until the poller
// or one of its sockets is closed: then it returns net.ErrClosed. An error of a socket
// itself ends it as well, and it may be called again. One goroutine at a time may
// serve.
func (l *Poller) Serve(in *Inbox, handle func(socket int)) error {
	if !l.begin() {
		return net.ErrClosed
	}
	defer l.end()
	defer l.hold(false)
	if l.parking == nil { // it ended while it was held
		if err := l.park(); err != nil {
			return err
		}
	}
	l.fds = l.fds[:0]
	return l.keepOpen(func() error {
		for {
			if err := l.wait(); err != nil {
				return err
			}
			for _, e := range l.events[:l.n] {
				if int(e.Fd) == len(l.packets) {
					return net.ErrClosed
				}
				if err := l.take(in, e, handle); err != nil {
					return err
				}
			}
		}
	})
}

// keepOpen calls f and keeps the descriptors of all sockets open meanwhile.
func (l *Poller) keepOpen(f func() error) (err error) {
	if len(l.fds) == len(l.packets) {
		return f()
	}
	e := l.packets[len(l.fds)].raw.Read(func(fd uintptr) bool {
		l.fds = append(l.fds, int(fd))
		err = l.keepOpen(f)
		return true
	})
	if e != nil {
		return net.ErrClosed
	}
	return err
}

// take reads one batch of the socket of an event; only one, so that a flood on one socket does not
// delay the others. The next wait tells whether there is more. So the first datagram is read alone,
// because recvmmsg would search for another one. A socket that has several at once is read in
// batches.
func (l *Poller) take(in *Inbox, e unix.EpollEvent, handle func(socket int)) error {
	i := int(e.Fd)
	p, fd := l.packets[i], uintptr(l.fds[i]) //nolint:gosec // a descriptor
	if e.Events&unix.EPOLLERR != 0 {
		p.drainErrors()
	}
	receive := (*Inbox).recvfrom
	if l.read[i]+1 == l.round {
		receive = (*Inbox).recvmmsg
	}
	l.read[i] = l.round
	switch errno := receive(in, fd, p.every); {
	case errno == 0:
		handle(i)
	case errno == syscall.EINTR, errno == syscall.EAGAIN:
	case transient(errno):
		p.drainErrors()
	default:
		return os.NewSyscallError("recvmsg", errno)
	}
	return nil
}

// wait waits for events; it may find none. If a preemption signal of the runtime has ended the
// wait, the next call yields by itself. To yield here would count as an answer to the garbage
// collector, which would have to ask again and again.
//
//go:noinline
func (l *Poller) wait() error {
	l.round++
	if !l.held {
		if err := l.parked.Read(l.look); err != nil {
			return fmt.Errorf("parking: %w", err)
		}
		l.count()
		return nil
	}
	if l.round%yields == 0 {
		runtime.Gosched()
	}
	switch errno := l.poll(patience); {
	case errno == syscall.EINTR:
	case errno != 0:
		return os.NewSyscallError("epoll_pwait", errno)
	case l.n > 0:
		l.vain = 0
	default:
		if l.vain++; l.vain >= inVain && l.park() == nil { // without a descriptor to park on nothing changes
			l.hold(false)
		}
	}
	return nil
}

// poll is epoll_pwait(2), without notifying the scheduler.
func (l *Poller) poll(d time.Duration) syscall.Errno {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), //nolint:gosec // epoll_pwait(2)
		uintptr(len(l.events)), uintptr(d.Milliseconds()), 0, 0) //nolint:gosec // not negative
	if l.n = int(n); errno != 0 { //nolint:gosec // at most len(l.events)
		l.n = 0
	}
	return errno
}

// glance looks for events without waiting; false parks the goroutine.
func (l *Poller) glance(uintptr) bool { return l.poll(0) != 0 || l.n > 0 }

// count decides whether datagrams come often.
func (l *Poller) count() {
	if l.waits++; l.waits < often {
		return
	}
	now := time.Now()
	hurry := now.Sub(l.since) <= within
	l.waits, l.since = 0, now
	if !hurry {
		return
	}
	_ = l.parking.Close() // else the runtime would still be woken
	l.parking, l.vain = nil, 0
	l.hold(true)
}

// hold begins or ends keeping the processor, and calls Held.
func (l *Poller) hold(held bool) {
	if l.held == held {
		return
	}
	l.held = held
	if l.Held != nil {
		l.Held(held)
	}
}

// park puts the epoll instance into the runtime's poller.
func (l *Poller) park() error {
	fd, err := unix.FcntlInt(uintptr(l.epoll), unix.F_DUPFD_CLOEXEC, 0) //nolint:gosec // a descriptor
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // this tells os.NewFile that it belongs into the poller
		return errors.Join(err, unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), "poller")
	raw, err := file.SyscallConn()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.parking, l.parked = file, raw
	return nil
}
