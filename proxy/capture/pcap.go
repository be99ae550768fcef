package capture

import (
	"bufio"
	"encoding/binary"
	"io"
	"net/netip"
)

// The format of pcap (draft-ietf-opsawg-pcap): a header, then a record for each packet.
const (
	magic     = 0xa1b2c3d4 // times in microseconds
	linkRaw   = 101        // LINKTYPE_RAW: packets begin with the IP header
	snapLen   = 262144
	udp       = 17
	ipv4Size  = 20
	udpSize   = 8
	hopLimit  = 64
	mostBytes = 65535 - ipv4Size - udpSize
)

// WritePcap writes messages as a capture file that Wireshark and sngrep open. Each is one
// UDP datagram between its real addresses, even if it went by TCP or TLS, as the Via says. What
// was encrypted by TLS is in the clear. A message longer than a datagram can be is cut off.
func WritePcap(w io.Writer, messages []Message) error {
	b := bufio.NewWriter(w)
	var head []byte
	head = binary.LittleEndian.AppendUint32(head, magic)
	head = binary.LittleEndian.AppendUint16(head, 2) // version 2.4
	head = binary.LittleEndian.AppendUint16(head, 4)
	head = append(head, make([]byte, 8)...)
	head = binary.LittleEndian.AppendUint32(head, snapLen)
	head = binary.LittleEndian.AppendUint32(head, linkRaw)
	_, _ = b.Write(head)
	for i := range messages {
		m := &messages[i]
		packet := packetOf(m)
		var record []byte
		record = binary.LittleEndian.AppendUint32(record, uint32(m.At.Unix()))            //nolint:gosec // as the format wants it, until 2106
		record = binary.LittleEndian.AppendUint32(record, uint32(m.At.Nanosecond()/1000)) //nolint:gosec // below a million
		record = binary.LittleEndian.AppendUint32(record, uint32(len(packet)))            //nolint:gosec // below snapLen
		record = binary.LittleEndian.AppendUint32(record, uint32(len(packet)))            //nolint:gosec // below snapLen
		_, _ = b.Write(record)
		_, _ = b.Write(packet)
	}
	return b.Flush() // tells of the first error
}

// packetOf is a message as an IP packet.
func packetOf(m *Message) []byte {
	raw := m.Raw[:min(len(m.Raw), mostBytes)]
	from, to := m.From.Addr().Unmap(), m.To.Addr().Unmap()
	if from.Is4() != to.Is4() { // one of them is not known
		from, to = as6(from), as6(to)
	}
	length := uint16(udpSize + len(raw)) //nolint:gosec // see mostBytes
	var p []byte
	if from.Is4() {
		p = append(p, 0x45, 0)
		p = binary.BigEndian.AppendUint16(p, ipv4Size+length)
		p = append(p, 0, 0, 0x40, 0, hopLimit, udp, 0, 0) // not to be fragmented
		p = append(append(p, from.AsSlice()...), to.AsSlice()...)
		binary.BigEndian.PutUint16(p[10:], ^fold(sum(0, p)))
	} else {
		p = append(p, 0x60, 0, 0, 0)
		p = binary.BigEndian.AppendUint16(p, length)
		p = append(p, udp, hopLimit)
		p = append(append(p, from.AsSlice()...), to.AsSlice()...)
	}
	at := len(p)
	p = binary.BigEndian.AppendUint16(p, m.From.Port())
	p = binary.BigEndian.AppendUint16(p, m.To.Port())
	p = binary.BigEndian.AppendUint16(p, length)
	p = append(append(p, 0, 0), raw...)
	// Over the pseudo-header: addresses, protocol and length (RFC 768, RFC 8200 8.1).
	s := sum(uint32(udp)+uint32(length), from.AsSlice())
	check := ^fold(sum(sum(s, to.AsSlice()), p[at:]))
	if check == 0 {
		check = 0xffff // 0 says that there is none
	}
	binary.BigEndian.PutUint16(p[at+6:], check)
	return p
}

func as6(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return netip.IPv6Unspecified()
	}
	return netip.AddrFrom16(a.As16())
}

// sum adds 16-bit words, fold makes the Internet checksum of that (RFC 1071).
func sum(s uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s) //nolint:gosec // it was folded
}
