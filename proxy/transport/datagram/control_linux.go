//go:build linux

package datagram

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control has room for the control messages of one datagram (cmsg(3)): the address of ours that it
// is sent from or was sent to, and the size of its segments. It is aligned as the kernel demands.
type control [10]uint64

// put adds a control message at offset at, and gives its data, which are zero.
func (c *control) put(at int, level, typ int32, size int) (data []byte, next int) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(c)), unsafe.Sizeof(*c)) //nolint:gosec // cmsg(3)
	next = at + unix.CmsgSpace(size)
	clear(b[at:next])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[at])) //nolint:gosec // cmsg(3)
	h.Level, h.Type = level, typ
	h.SetLen(unix.CmsgLen(size))
	return b[at+unix.CmsgLen(0):][:size], next
}

// set writes the control messages of a datagram: the size of its segments if that is not 0, the
// address to send it from if that is valid. length is that of all; 0: there are none.
func (c *control) set(segment int, from netip.Addr, six bool) (length int) {
	if segment > 0 {
		var data []byte
		data, length = c.put(length, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)
		binary.NativeEndian.PutUint16(data, uint16(segment)) //nolint:gosec // at most maxSegment
	}
	switch {
	case !from.IsValid():
	case six: // also for IPv4, as a mapped address
		var data []byte
		data, length = c.put(length, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
		a := from.As16()
		copy(data, a[:])
	case from.Is4():
		var data []byte
		data, length = c.put(length, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		a := from.As4()
		copy(data[4:], a[:]) // in_pktinfo.ipi_spec_dst
	}
	return length
}

// address reads the address of ours that a datagram was sent to; invalid if it is no address to
// answer from.
func (c *control) address(length int) (a netip.Addr) {
	if length < unix.CmsgLen(unix.SizeofInet4Pktinfo) {
		return a
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(c)), unsafe.Sizeof(*c)) //nolint:gosec // cmsg(3)
	h := (*unix.Cmsghdr)(unsafe.Pointer(c))                          //nolint:gosec // cmsg(3)
	data := b[unix.CmsgLen(0):]
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO:
		a = netip.AddrFrom4([4]byte(data[4:8]))
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO:
		a = netip.AddrFrom16([16]byte(data[:16])).Unmap()
	}
	if a.IsMulticast() {
		return netip.Addr{}
	}
	return a
}

// askAddress makes the kernel tell to which address of ours each datagram was sent.
func askAddress(fd int, six bool) bool {
	if six {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1) == nil
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1) == nil
}
