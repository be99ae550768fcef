package hep

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Message is one SIP message with its transport, addresses and time.
type Message struct {
	// Transport is "udp", "tcp" or "tls".
	Transport string
	From, To  netip.AddrPort
	At        time.Time
	// Capture tells the users of the collector who has mirrored the message.
	Capture uint32
	Raw     []byte
}

// The chunks of vendor 0 (HEP3, "chunk types").
const (
	chunkFamily    = 0x01
	chunkProtocol  = 0x02
	chunkFrom4     = 0x03
	chunkTo4       = 0x04
	chunkFrom6     = 0x05
	chunkTo6       = 0x06
	chunkFromPort  = 0x07
	chunkToPort    = 0x08
	chunkSeconds   = 0x09
	chunkMicros    = 0x0a
	chunkType      = 0x0b
	chunkCaptureID = 0x0c
	chunkPayload   = 0x0f
)

const (
	familyIPv4 = 2
	familyIPv6 = 10
	typeSIP    = 1

	protocolTCP = 6
	protocolUDP = 17

	headLen  = 6 // "HEP3" and the length of the packet
	chunkLen = 6 // vendor, type and length of a chunk

	// overhead is what a packet has besides addresses and payload: ten chunks
	// more than those have 18 octets in them.
	overhead = headLen + 11*chunkLen + 1 + 1 + 2 + 2 + 4 + 4 + 1 + 4
)

// MaxRaw is the longest message that can be mirrored: a packet is one datagram.
const MaxRaw = 65507 - overhead - 2*16

// Append appends the HEP3 packet of a message that has at most MaxRaw octets.
func (m *Message) Append(b []byte) []byte {
	start := len(b)
	b = append(b, "HEP3\x00\x00"...)
	from, to := m.From.Addr().Unmap(), m.To.Addr().Unmap()
	four := from.Is4() && to.Is4()
	b = chunk8(b, chunkFamily, family(four))
	b = chunk8(b, chunkProtocol, protocol(m.Transport))
	if four {
		x, y := from.As4(), to.As4()
		b = append(chunk(b, chunkFrom4, len(x)), x[:]...)
		b = append(chunk(b, chunkTo4, len(y)), y[:]...)
	} else {
		x, y := from.As16(), to.As16()
		b = append(chunk(b, chunkFrom6, len(x)), x[:]...)
		b = append(chunk(b, chunkTo6, len(y)), y[:]...)
	}
	b = chunk16(b, chunkFromPort, m.From.Port())
	b = chunk16(b, chunkToPort, m.To.Port())
	b = chunk32(b, chunkSeconds, uint32(m.At.Unix()))
	b = chunk32(b, chunkMicros, uint32(m.At.Nanosecond()/1000))
	b = chunk8(b, chunkType, typeSIP)
	b = chunk32(b, chunkCaptureID, m.Capture)
	b = append(chunk(b, chunkPayload, len(m.Raw)), m.Raw...)
	binary.BigEndian.PutUint16(b[start+4:], uint16(len(b)-start))
	return b
}

func family(four bool) byte {
	if four {
		return familyIPv4
	}
	return familyIPv6
}

// protocol is the IP protocol; TLS is carried by TCP.
func protocol(transport string) byte {
	if transport == "udp" {
		return protocolUDP
	}
	return protocolTCP
}

// chunk appends the head of a chunk of vendor 0 with n octets in it.
func chunk(b []byte, kind uint16, n int) []byte {
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, kind)
	return binary.BigEndian.AppendUint16(b, uint16(chunkLen+n))
}

func chunk8(b []byte, kind uint16, v byte) []byte { return append(chunk(b, kind, 1), v) }

func chunk16(b []byte, kind, v uint16) []byte {
	return binary.BigEndian.AppendUint16(chunk(b, kind, 2), v)
}

func chunk32(b []byte, kind uint16, v uint32) []byte {
	return binary.BigEndian.AppendUint32(chunk(b, kind, 4), v)
}
