//go:build linux

package datagram

import (
	"encoding/binary"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// errQueue reads the error queue of a socket, one reader at a time.
type errQueue struct {
	mu  sync.Mutex
	buf [2048]byte
	oob [512]byte
}

// undelivered is one datagram that came back.
type undelivered struct {
	to      netip.AddrPort
	payload []byte
}

// drainErrors reads the ICMP errors that the kernel keeps (ip(7), IP_RECVERR)
// and tells OnRefused of each. The callback runs outside the lock, because it
// may send on this very socket.
func (p *Packet) drainErrors() {
	list := p.readErrors()
	if len(list) > 0 {
		p.pauseSegmenting()
	}
	for _, u := range list {
		if p.OnRefused != nil {
			p.OnRefused(u.to, u.payload, ErrUnreachable)
		}
	}
}

func (p *Packet) readErrors() (list []undelivered) {
	q := &p.errs
	q.mu.Lock()
	defer q.mu.Unlock()
	_ = p.raw.Control(func(fd uintptr) {
		for range 4 * BatchSize {
			n, oobn, _, from, err := unix.Recvmsg(int(fd), q.buf[:], q.oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			if to, ok := fromSockaddr(from); ok && isICMP(q.oob[:oobn]) {
				list = append(list, undelivered{to, append([]byte(nil), q.buf[:n]...)})
			}
		}
	})
	return list
}

// isICMP tells whether the control messages hold an ICMP error; an error of local
// origin (a datagram too large for the interface) says nothing about the peer.
func isICMP(oob []byte) bool {
	const originAt = 4 // struct sock_extended_err: u32 errno, u8 origin
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for _, m := range msgs {
		if len(m.Data) > originAt && binary.NativeEndian.Uint32(m.Data) != uint32(unix.EMSGSIZE) &&
			(m.Data[originAt] == unix.SO_EE_ORIGIN_ICMP || m.Data[originAt] == unix.SO_EE_ORIGIN_ICMP6) {
			return true
		}
	}
	return false
}

func fromSockaddr(sa unix.Sockaddr) (netip.AddrPort, bool) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), true //nolint:gosec // a port
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)), true //nolint:gosec // a port
	default:
		return netip.AddrPort{}, false
	}
}
