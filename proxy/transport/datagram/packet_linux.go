//go:build linux

package datagram

import (
	"cmp"
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"rewatch/proxy/transport/netaddr"
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
// so that a reader parks as with net.UDPConn, unless a Poller reads it.
type batcher struct {
	raw   syscall.RawConn // nil: not a UDP socket of the system
	six   bool            // the socket is AF_INET6
	alone bool            // the runtime's poller does not know it
	every bool            // it is bound to all addresses, so that each datagram tells its own
	rd    reader
	errs  errQueue
	source
	segmentation
}

type inboxSys struct {
	hdrs  [BatchSize]mmsghdr
	iovs  [BatchSize]unix.Iovec
	names [BatchSize]sockaddr
	ctrls [BatchSize]control
	asks  bool // the headers have room for control messages
}

func (s *inboxSys) init(in *Inbox) {
	for i := range s.hdrs {
		s.iovs[i].Base = &in.bufs[i][0]
		s.iovs[i].SetLen(len(in.bufs[i]))
		s.hdrs[i].hdr.Iov = &s.iovs[i]
		s.hdrs[i].hdr.SetIovlen(1)
		s.hdrs[i].hdr.Name = &s.names[i][0]
		s.hdrs[i].hdr.Namelen = uint32(len(s.names[i]))
	}
}

// reader is the state of one Serve, with its function made once.
type reader struct {
	p      *Packet
	in     *Inbox
	handle func() (more bool)
	err    error
	woken  bool // the socket was readable, or so it was said
	read   func(fd uintptr) bool
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
	b.rd.read = b.rd.serve
	return raw.Control(func(fd uintptr) {
		b.probe(int(fd))
		domain, e := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		b.six = e == nil && domain == unix.AF_INET6
		b.every = netaddr.Of(udp.LocalAddr()).Addr().IsUnspecified() && askAddress(int(fd), b.six)
		// Ask for ICMP errors, to know at once, and not after Timer F, that a next hop is not
		// there.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		if b.six {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
		}
	})
}

// renew resets what the last batch has changed.
func (in *Inbox) renew() {
	for i := range in.n {
		in.sys.hdrs[i].hdr.Namelen = uint32(len(in.sys.names[i]))
	}
	if in.sys.asks {
		for i := range in.n {
			in.sys.hdrs[i].hdr.SetControllen(int(unsafe.Sizeof(control{})))
		}
	}
	in.n = 0
}

// ask sets whether the headers take control messages: an inbox may serve several sockets.
func (in *Inbox) ask(every bool) {
	s := &in.sys
	if s.asks == every {
		return
	}
	s.asks = every
	for i := range s.hdrs {
		h := &s.hdrs[i].hdr
		h.Control, in.at[i] = nil, netip.Addr{}
		h.SetControllen(0)
		if every {
			h.Control = (*byte)(unsafe.Pointer(&s.ctrls[i])) //nolint:gosec // cmsg(3)
			h.SetControllen(int(unsafe.Sizeof(control{})))
		}
	}
}

// recvmmsg reads what is there without blocking.
func (in *Inbox) recvmmsg(fd uintptr, every bool) syscall.Errno {
	s := &in.sys
	in.renew()
	in.ask(every)
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.hdrs[0])), //nolint:gosec // recvmmsg(2)
		BatchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return errno
	}
	in.n = int(n) //nolint:gosec // at most BatchSize
	for i := range in.n {
		in.lens[i] = int(s.hdrs[i].len)
		in.from[i] = s.names[i].addrPort()
		if every {
			in.at[i] = s.ctrls[i].address(int(s.hdrs[i].hdr.Controllen)) //nolint:gosec // its size
		}
	}
	return 0
}

// recvfrom reads one datagram without blocking.
func (in *Inbox) recvfrom(fd uintptr, every bool) syscall.Errno {
	s := &in.sys
	h := &s.hdrs[0].hdr
	in.renew()
	in.ask(every)
	if every {
		n, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(h)), unix.MSG_DONTWAIT) //nolint:gosec // recvmsg(2)
		if errno == 0 {
			in.n, in.lens[0], in.from[0] = 1, int(n), s.names[0].addrPort() //nolint:gosec // at most MaxDatagram
			in.at[0] = s.ctrls[0].address(int(h.Controllen))                //nolint:gosec // its size
		}
		return errno
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(h.Iov.Base)), uintptr(h.Iov.Len), unix.MSG_DONTWAIT, //nolint:gosec // recvfrom(2)
		uintptr(unsafe.Pointer(h.Name)), uintptr(unsafe.Pointer(&h.Namelen))) //nolint:gosec // recvfrom(2)
	if errno == 0 {
		in.n, in.lens[0], in.from[0] = 1, int(n), s.names[0].addrPort() //nolint:gosec // at most MaxDatagram
	}
	return errno
}

// serve reads and handles batches until the socket is empty; false parks the
// goroutine until datagrams come. After a batch that was not full the socket is empty, and asking
// again would cost as much as being woken: as long as this function does not return true, the
// runtime's poller remembers what has come since.
func (r *reader) serve(fd uintptr) (done bool) {
	for {
		switch errno := r.in.recvmmsg(fd, r.p.every); {
		case errno == 0:
			r.woken = false
			if !r.handle() {
				return true
			}
			if r.in.n < BatchSize {
				r.woken = true
				return false
			}
		case errno == syscall.EINTR:
		case transient(errno):
			r.p.drainErrors()
		case errno == syscall.EAGAIN:
			if r.woken {
				// There is no datagram: it may be an ICMP error that a writer was told.
				r.p.drainErrors()
			}
			r.woken = true
			return false
		default:
			r.err = errno
			return true
		}
	}
}

// Serve waits for datagrams, reads what is there, up to BatchSize, and calls handle,
// again and again until that returns false. One goroutine at a time may serve.
func (p *Packet) Serve(in *Inbox, handle func() (more bool)) error {
	if p.raw == nil {
		return serveOneByOne(p.conn, in, handle)
	}
	p.rd.p, p.rd.in, p.rd.handle, p.rd.err, p.rd.woken = p, in, handle, nil, false
	return cmp.Or(p.raw.Read(p.rd.read), p.rd.err)
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
