package hep

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// FuzzPacket takes packets apart as a collector does, chunk by chunk, and finds in
// them what went in.
func FuzzPacket(f *testing.F) {
	f.Add("udp", []byte{10, 0, 0, 1}, []byte{10, 0, 0, 2}, uint16(5060), uint16(5062), int64(1795446897123456), uint32(2001), sip)
	f.Add("tls", netip.MustParseAddr("::ffff:10.0.0.1").AsSlice(), netip.MustParseAddr("fd00::2").AsSlice(), uint16(1), uint16(65535), int64(0), uint32(0), []byte{})
	f.Fuzz(func(t *testing.T, transport string, from, to []byte, fromPort, toPort uint16, micros int64, capture uint32, raw []byte) {
		a, ok := netip.AddrFromSlice(from)
		b, ok2 := netip.AddrFromSlice(to)
		if !ok || !ok2 || len(raw) > MaxRaw || micros < 0 || micros > 4_000_000_000_000_000 {
			return
		}
		m := Message{
			Transport: transport, From: netip.AddrPortFrom(a, fromPort), To: netip.AddrPortFrom(b, toPort),
			At: time.UnixMicro(micros), Capture: capture, Raw: raw,
		}
		packet := m.Append([]byte("before"))[len("before"):]
		got, ok := parse(packet)
		if !ok || len(packet) > 65507 {
			t.Fatalf("%x is no packet", packet)
		}
		if transport == "udp" != (got.Transport == "udp") || got.From.Addr().Unmap() != a.Unmap() || got.To.Addr().Unmap() != b.Unmap() ||
			got.From.Port() != fromPort || got.To.Port() != toPort || !got.At.Equal(m.At) || got.Capture != capture || !bytes.Equal(got.Raw, raw) {
			t.Fatalf("%+v became %+v", m, got)
		}
	})
}

// parse reads a packet of which every chunk is known and comes once.
func parse(b []byte) (m Message, ok bool) {
	if len(b) < 6 || string(b[:4]) != "HEP3" || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		return m, false
	}
	chunks := map[uint16][]byte{}
	for b = b[6:]; len(b) > 0; {
		if len(b) < 6 || binary.BigEndian.Uint16(b) != 0 {
			return m, false
		}
		kind, n := binary.BigEndian.Uint16(b[2:]), int(binary.BigEndian.Uint16(b[4:]))
		if n < 6 || n > len(b) || chunks[kind] != nil {
			return m, false
		}
		chunks[kind], b = b[6:n], b[n:]
	}
	return read(chunks)
}

func read(chunks map[uint16][]byte) (m Message, ok bool) {
	if len(chunks) != 11 || len(chunks[1]) != 1 || len(chunks[2]) != 1 || len(chunks[7]) != 2 || len(chunks[8]) != 2 ||
		len(chunks[9]) != 4 || len(chunks[10]) != 4 || len(chunks[12]) != 4 || !bytes.Equal(chunks[11], []byte{1}) {
		return m, false
	}
	from, to := chunks[3], chunks[4]
	if chunks[1][0] == 10 {
		from, to = chunks[5], chunks[6]
	}
	a, ok := netip.AddrFromSlice(from)
	b, ok2 := netip.AddrFromSlice(to)
	if !ok || !ok2 || a.Is4() != (chunks[1][0] == 2) || b.Is4() != (chunks[1][0] == 2) {
		return m, false
	}
	number := func(kind uint16) int64 { return int64(binary.BigEndian.Uint32(chunks[kind])) }
	m = Message{
		From: netip.AddrPortFrom(a, binary.BigEndian.Uint16(chunks[7])), To: netip.AddrPortFrom(b, binary.BigEndian.Uint16(chunks[8])),
		At: time.Unix(number(9), number(10)*1000), Capture: binary.BigEndian.Uint32(chunks[12]), Raw: chunks[15],
	}
	if chunks[2][0] == 17 {
		m.Transport = "udp"
	}
	return m, true
}
