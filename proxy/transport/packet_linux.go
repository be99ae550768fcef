//go:build linux

package transport

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// sockaddr has room for an IPv4 or IPv6 socket address.
type sockaddr [unix.SizeofSockaddrInet6]byte

// batcher does the system calls. The descriptor stays in the runtime's poller,
// so that a reader parks as with net.UDPConn.
type batcher struct {
	raw  syscall.RawConn // nil: not a UDP socket of the system
	six  bool            // the socket is AF_INET6
	rd   reader
	errs errQueue
}

type inboxSys struct {
	hdrs  [BatchSize]mmsghdr
	iovs  [BatchSize]unix.Iovec
	names [BatchSize]sockaddr
}

type outboxSys struct {
	hdrs  [BatchSize]mmsghdr
	iovs  [BatchSize]unix.Iovec
	names [BatchSize]sockaddr
	// The state of one Send, and the function that carries it out, made once so
	// that sending allocates nothing.
	n, sent int
	errno   syscall.Errno
	write   func(fd uintptr) bool
}

func (s *inboxSys) init(in *Inbox) {
	for i := range s.hdrs {
		s.iovs[i].Base = &in.bufs[i][0]
		s.iovs[i].SetLen(len(in.bufs[i]))
		s.hdrs[i].hdr.Iov = &s.iovs[i]
		s.hdrs[i].hdr.SetIovlen(1)
		s.hdrs[i].hdr.Name = &s.names[i][0]
	}
}

func (s *outboxSys) init() {
	for i := range s.hdrs {
		s.hdrs[i].hdr.Iov = &s.iovs[i]
		s.hdrs[i].hdr.SetIovlen(1)
		s.hdrs[i].hdr.Name = &s.names[i][0]
	}
	s.write = s.sendmmsg
}

// reader is the state of one Receive, with its function made once.
type reader struct {
	in    *Inbox
	n     int
	errno syscall.Errno
	woken bool // the socket was readable, or so it was said
	read  func(fd uintptr) bool
}

func (b *batcher) init(conn net.PacketConn) error {
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return nil
	}
	raw, err := udp.SyscallConn()
	if err != nil {
		return err
	}
	b.raw = raw
	b.rd.read = b.rd.recvmmsg
	return raw.Control(func(fd uintptr) {
		domain, e := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		b.six = e == nil && domain == unix.AF_INET6
		// Ask for ICMP errors: a next hop that is not there is then known at
		// once and not after Timer F.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		if b.six {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
		}
	})
}

// recvmmsg reads what is there without blocking; false parks the goroutine until
// the socket is readable.
func (r *reader) recvmmsg(fd uintptr) bool {
	s := &r.in.sys
	for i := range s.hdrs {
		s.hdrs[i].hdr.Namelen = uint32(len(s.names[i]))
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.hdrs[0])), //nolint:gosec // recvmmsg(2)
		BatchSize, unix.MSG_DONTWAIT, 0, 0)
	r.n, r.errno = int(n), errno //nolint:gosec // at most BatchSize
	// Woken for nothing: there is an ICMP error, of which a writer has had the word.
	done := errno != syscall.EAGAIN || r.woken
	r.woken = true
	return done
}

// Receive waits for datagrams and reads what is there, up to BatchSize.
func (p *Packet) Receive(in *Inbox) error {
	in.n = 0
	if p.raw == nil {
		return receiveOne(p.conn, in)
	}
	p.rd.in = in
	for {
		p.rd.woken = false
		if err := p.raw.Read(p.rd.read); err != nil {
			return err
		}
		switch errno := p.rd.errno; {
		case errno == 0:
			in.n = p.rd.n
			for i := range in.n {
				in.lens[i] = int(in.sys.hdrs[i].len)
				in.from[i] = in.sys.names[i].addrPort()
			}
			return nil
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN, transient(errno):
			p.drainErrors()
		default:
			return errno
		}
	}
}

// transient tells the errors of an earlier datagram, reported by the next call
// on the socket, from those of the socket itself.
func transient(errno syscall.Errno) bool {
	switch errno { //nolint:exhaustive // all others are not
	case syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN,
		syscall.EMSGSIZE, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EACCES:
		return true
	}
	return false
}

// sendmmsg writes as many of the prepared datagrams as the socket takes.
func (s *outboxSys) sendmmsg(fd uintptr) bool {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.hdrs[s.sent])), //nolint:gosec // sendmmsg(2)
		uintptr(s.n-s.sent), unix.MSG_DONTWAIT, 0, 0) //nolint:gosec // not negative
	if errno == 0 {
		s.sent += int(n) //nolint:gosec // at most BatchSize
	}
	s.errno = errno
	return errno != syscall.EAGAIN
}

// Send writes all datagrams of o and empties it. failed counts those that the
// socket did not take; err is the last reason.
func (p *Packet) Send(o *Outbox) (failed int, err error) {
	if len(o.ends) == 0 {
		return 0, nil
	}
	if p.raw == nil {
		return sendEach(p.conn, o)
	}
	s := &o.sys
	for base := 0; base < len(o.ends); base += BatchSize {
		s.prepare(o, base, p.six)
		f, e := p.sendBatch(s)
		failed += f
		if e != nil {
			err = e
			if errors.Is(e, net.ErrClosed) {
				break
			}
		}
	}
	o.reset()
	return failed, err
}

func (s *outboxSys) prepare(o *Outbox, base int, six bool) {
	s.n = min(BatchSize, len(o.ends)-base)
	s.sent = 0
	for i := range s.n {
		d := o.datagram(base + i)
		s.iovs[i].Base = unsafe.SliceData(d) //nolint:gosec // sendmmsg(2)
		s.iovs[i].SetLen(len(d))
		s.hdrs[i].hdr.Namelen = s.names[i].set(o.to[base+i], six)
	}
}

// sendBatch writes the prepared datagrams. An error belongs either to an earlier
// datagram (then the one at hand is tried once more) or to the one at hand (then
// it is passed over).
func (p *Packet) sendBatch(s *outboxSys) (failed int, err error) {
	again := true
	for s.sent < s.n {
		if e := p.raw.Write(s.write); e != nil {
			return failed + s.n - s.sent, e
		}
		switch {
		case s.errno == 0 && s.sent < s.n:
			// The kernel stopped at an error, whose code is lost (sendmmsg(2)).
			p.drainErrors()
			again = true
		case s.errno == 0 || s.errno == syscall.EINTR:
		case transient(s.errno) && again:
			p.drainErrors()
			again = false
		default:
			failed++
			err = s.errno
			s.sent++
			again = true
		}
	}
	return failed, err
}

// set writes a socket address of the socket's family; IPv4 goes through an
// AF_INET6 socket as a mapped address.
func (n *sockaddr) set(a netip.AddrPort, six bool) uint32 {
	if !six {
		binary.NativeEndian.PutUint16(n[0:], unix.AF_INET)
		binary.BigEndian.PutUint16(n[2:], a.Port())
		ip := a.Addr().Unmap()
		if !ip.Is4() {
			return 0 // the kernel says that there is no address (EDESTADDRREQ)
		}
		b := ip.As4()
		copy(n[4:], b[:])
		clear(n[8:16])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(n[0:], unix.AF_INET6)
	binary.BigEndian.PutUint16(n[2:], a.Port())
	clear(n[4:8])
	b := a.Addr().As16()
	copy(n[8:24], b[:])
	clear(n[24:28])
	return unix.SizeofSockaddrInet6
}

func (n *sockaddr) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16(n[2:])
	if binary.NativeEndian.Uint16(n[0:]) == unix.AF_INET6 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(n[8:24])).Unmap(), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(n[4:8])), port)
}
