//go:build linux

package datagram

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// outboxSys is what sendmmsg(2) is told of a batch: a header for each datagram, or
// for several that leave in one piece.
type outboxSys struct {
	hdrs  [BatchSize]mmsghdr
	iovs  [BatchSize]unix.Iovec
	names [BatchSize]sockaddr
	ctrls [BatchSize]control
	count [BatchSize]int // how many datagrams each header is for
	// The state of one Send, and the function that carries it out, made once so
	// that sending allocates nothing.
	n, sent int
	errno   syscall.Errno
	write   func(fd uintptr) bool
	await   func(fd uintptr) bool // the same for a socket that is not in the runtime's poller
}

func (s *outboxSys) init() {
	for i := range s.hdrs {
		s.iovs[i].Base = nil
		s.hdrs[i].hdr.Iov = &s.iovs[i]
		s.hdrs[i].hdr.SetIovlen(1)
		s.hdrs[i].hdr.Name = &s.names[i][0]
	}
	s.write, s.await = s.sendmmsg, s.sendmmsgWait
}

// sendmmsg writes as much of what is prepared as the socket takes.
func (s *outboxSys) sendmmsg(fd uintptr) bool {
	if s.n-s.sent == 1 && s.hdrs[s.sent].hdr.Control == nil {
		return s.sendto(fd)
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.hdrs[s.sent])), //nolint:gosec // sendmmsg(2)
		uintptr(s.n-s.sent), unix.MSG_DONTWAIT, 0, 0) //nolint:gosec // not negative
	if errno == 0 {
		s.sent += int(n) //nolint:gosec // at most BatchSize
	}
	s.errno = errno
	return errno != syscall.EAGAIN
}

// sendto writes the last of what is prepared, a single datagram: of all calls this is
// the one that has the kernel copy the least.
func (s *outboxSys) sendto(fd uintptr) bool {
	h := &s.hdrs[s.sent].hdr
	_, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(h.Iov.Base)), uintptr(h.Iov.Len), unix.MSG_DONTWAIT, //nolint:gosec // sendto(2)
		uintptr(unsafe.Pointer(h.Name)), uintptr(h.Namelen)) //nolint:gosec // sendto(2)
	if errno == 0 {
		s.sent++
	}
	s.errno = errno
	return errno != syscall.EAGAIN
}

// roomWithin is how long a socket outside the runtime's poller may take to have room
// again. Its readers wait meanwhile, so that it is not without bound.
const roomWithin = 100 * time.Millisecond

// sendmmsgWait does the same, and where there is no room it waits for some; in the end
// it leaves it at EAGAIN.
func (s *outboxSys) sendmmsgWait(fd uintptr) bool {
	if s.sendmmsg(fd) {
		return true
	}
	until := time.Now().Add(roomWithin)
	for left := roomWithin; left > 0; left = time.Until(until) {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, max(1, int(left.Milliseconds()))) //nolint:gosec // a descriptor
		if s.sendmmsg(fd) {
			break
		}
	}
	return true
}

// Send writes all datagrams of o and empties it. failed counts those that the
// socket did not take; err is the last reason.
func (p *Packet) Send(o *Outbox) (failed int, err error) {
	if len(o.ends) == 0 {
		return 0, nil
	}
	if p.raw == nil {
		return p.sendEach(o)
	}
	s := &o.sys
	for next := 0; next < len(o.ends); {
		s.prepare(o, next, p.present(), p.six, !p.Single && p.segmenting())
		done, f, e := p.sendBatch(o, next)
		next += done
		failed += f
		if e != nil {
			err = e
			if errors.Is(e, net.ErrClosed) {
				failed += len(o.ends) - next
				break
			}
		}
	}
	o.reset()
	return failed, err
}

// prepare fills in headers for the datagrams from one of them on, for several that leave
// in one piece if that is allowed. Those that name no address leave from own, if it is valid.
func (s *outboxSys) prepare(o *Outbox, next int, own netip.Addr, six, segmenting bool) {
	s.n, s.sent = 0, 0
	for ; next < len(o.ends) && s.n < BatchSize; s.n++ {
		i, h, count, length, segment := s.n, &s.hdrs[s.n].hdr, 1, o.size(next), 0
		if segmenting {
			if count, length = o.segments(next); count > 1 {
				segment = o.size(next)
			}
		}
		s.count[i] = count
		s.iovs[i].Base = unsafe.SliceData(o.datagram(next)) //nolint:gosec // sendmmsg(2)
		s.iovs[i].SetLen(length)
		h.Namelen = s.names[i].set(o.to[next], six)
		h.Control = nil
		from := o.from[next]
		if to := o.to[next].Addr(); !from.IsValid() && own.IsValid() && own.Is4() == (to.Is4() || to.Is4In6()) {
			from = own
		}
		n := s.ctrls[i].set(segment, from, six)
		if h.SetControllen(n); n > 0 {
			h.Control = (*byte)(unsafe.Pointer(&s.ctrls[i])) //nolint:gosec // cmsg(3)
		}
		next += count
	}
}

// sendBatch writes what is prepared, which begins with datagram first, and tells how
// many datagrams that dealt with.
// An error belongs either to an earlier datagram (then the one at hand is tried again)
// or to the one at hand (then it is passed over, and told of). A piece of several that is
// not taken ends the batch, and goes in single datagrams, so that it is known which one
// was refused.
func (p *Packet) sendBatch(o *Outbox, first int) (done, failed int, err error) {
	s, tries := &o.sys, 0
	for counted := 0; s.sent < s.n; {
		if e := p.write(s); e != nil {
			return done, failed, e
		}
		for ; counted < s.sent; counted++ {
			done += s.count[counted]
		}
		switch {
		case s.errno == 0 && s.sent < s.n:
			// The kernel stopped at an error, whose code is lost (sendmmsg(2)).
			p.drainErrors()
			tries = 0
		case s.errno == 0 || s.errno == syscall.EINTR:
		case s.errno == syscall.EAGAIN: // the others would wait as long, one after the other
			for ; s.sent < s.n; s.sent++ {
				done += s.count[s.sent]
				failed += s.count[s.sent]
			}
			return done, failed, s.errno
		case transient(s.errno) && tries < maxTries:
			p.drainErrors()
			tries++
		case absent(s.errno) && p.present().IsValid():
			p.pauseOwn()
			return done, failed, nil
		case s.count[s.sent] > 1:
			p.pauseSegmenting()
			return done, failed, nil
		default:
			err = s.errno
			if !foreign(s.errno) {
				p.refused(o, first+done, err)
			}
			failed++
			done++
			s.sent++
			counted++
			tries = 0
		}
	}
	return done, failed, err
}

// source tells whether the host has Packet.Own.
type source struct{ absent atomic.Int64 } // since the Unix epoch, until when it is taken not to

// absentFor is how long an address that was not there is left alone.
const absentFor = time.Second

// present is the address that datagrams leave from, invalid while the system chooses.
func (p *Packet) present() netip.Addr {
	if until := p.absent.Load(); until != 0 && time.Now().UnixNano() < until {
		return netip.Addr{}
	}
	return p.Own
}

// absent tells the errors of a datagram whose address of ours is none.
func absent(errno syscall.Errno) bool {
	return errno == syscall.EINVAL || errno == syscall.ENETUNREACH || errno == syscall.EADDRNOTAVAIL
}

func (p *Packet) pauseOwn() { p.absent.Store(time.Now().Add(absentFor).UnixNano()) }

// maxTries is how often a datagram meets with the errors of earlier ones.
const maxTries = 3

// foreign tells the errors that no datagram has by itself: they always tell of an
// earlier one.
func foreign(errno syscall.Errno) bool {
	return errno == syscall.ECONNREFUSED || errno == syscall.EPROTO || errno == syscall.ENOPROTOOPT
}

// write does the system call. It fails for a socket that is closed.
func (p *Packet) write(s *outboxSys) error {
	if !p.alone {
		return p.raw.Write(s.write)
	}
	if p.raw.Write(s.await) != nil {
		return net.ErrClosed
	}
	return nil
}
