package proxy

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"net/netip"

	"rewatch/proxy/wire"
)

// A branch of ours is the magic cookie and
//
//	rw <local> <attempt> <key: 16 hex> <loop: 8 hex> [i <at: 8 or 32 hex>] [- <stream: hex>]
//
// local is the socket that the request came in by, attempt which of the next hops
// it was sent to (each is a transaction of its own), key the hash of the transaction (the same for its retransmissions, CANCEL and non-2xx ACK,
// RFC 3261 16.11), loop the hash of what decides the route (16.6 step 8), at the address
// that the request came to, where the socket has all of the host's, and stream the
// connection: there the response has to go back. So a response finds
// its way without a table.
const branchPrefix = "z9hG4bKrw"

var branchStart = []byte(branchPrefix)

// branch is one of ours, read back.
type branch struct {
	local   int
	attempt uint8
	key     uint64
	loop    uint32
	stream  uint64
	at      netip.Addr
}

// letters is how many sockets and attempts a branch can name, by one letter each.
const letters = 26

const hexDigits = "0123456789abcdef"

func appendHex(dst []byte, v uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		dst = append(dst, hexDigits[v>>(4*i)&15])
	}
	return dst
}

func (b branch) appendTo(dst []byte) []byte {
	dst = append(dst, branchPrefix...)
	dst = append(dst, 'a'+byte(b.local), 'a'+b.attempt%letters) //nolint:gosec // New bounds the sockets
	dst = appendHex(dst, b.key, 16)
	dst = appendHex(dst, uint64(b.loop), 8)
	if b.at.IsValid() {
		dst = appendAddr(append(dst, 'i'), b.at)
	}
	if b.stream != 0 {
		digits := 1
		for digits < 16 && b.stream>>(4*digits) != 0 {
			digits++
		}
		dst = append(dst, '-')
		dst = appendHex(dst, b.stream, digits)
	}
	return dst
}

// parseBranch reads a branch of ours.
func parseBranch(v []byte) (b branch, ok bool) {
	const fixed = len(branchPrefix) + 2 + 16 + 8
	if len(v) < fixed || string(v[:len(branchPrefix)]) != branchPrefix {
		return b, false
	}
	v = v[len(branchPrefix):]
	b.local, b.attempt = int(v[0])-'a', v[1]-'a'
	key, ok1 := parseHex(v[2:18])
	loop, ok2 := parseHex(v[18:26])
	if b.local < 0 || b.attempt >= letters || !ok1 || !ok2 {
		return b, false
	}
	b.key, b.loop = key, uint32(loop) //nolint:gosec // eight digits
	rest := v[26:]
	if len(rest) > 0 && rest[0] == 'i' {
		if b.at, rest, ok = parseAddr(rest[1:]); !ok {
			return b, false
		}
	}
	if len(rest) > 1 && rest[0] == '-' && len(rest) <= 17 {
		b.stream, ok = parseHex(rest[1:])
		return b, ok
	} else if len(rest) > 0 {
		return b, false
	}
	return b, true
}

// appendAddr writes an address in 8 or 32 hex digits.
func appendAddr(dst []byte, a netip.Addr) []byte {
	if a.Is4() {
		q := a.As4()
		return appendHex(dst, uint64(binary.BigEndian.Uint32(q[:])), 8)
	}
	q := a.As16()
	dst = appendHex(dst, binary.BigEndian.Uint64(q[:8]), 16)
	return appendHex(dst, binary.BigEndian.Uint64(q[8:]), 16)
}

// parseAddr reads one, up to the end of v or a dash.
func parseAddr(v []byte) (a netip.Addr, rest []byte, ok bool) {
	n := bytes.IndexByte(v, '-')
	if n < 0 {
		n = len(v)
	}
	switch rest = v[n:]; n {
	case 8:
		q, ok := parseHex(v[:8])
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(q)) //nolint:gosec // eight digits
		return netip.AddrFrom4(b), rest, ok
	case 32:
		high, ok1 := parseHex(v[:16])
		low, ok2 := parseHex(v[16:32])
		var b [16]byte
		binary.BigEndian.PutUint64(b[:8], high)
		binary.BigEndian.PutUint64(b[8:], low)
		return netip.AddrFrom16(b), rest, ok1 && ok2
	}
	return a, rest, false
}

// nibbles are the values of the hex digits that appendHex writes; any other byte
// has a bit beyond them.
var nibbles = func() (t [256]byte) {
	for i := range t {
		t[i] = 1 << 4
	}
	for i, c := range []byte(hexDigits) {
		t[c] = byte(i) //nolint:gosec // sixteen of them
	}
	return t
}()

func parseHex(v []byte) (n uint64, ok bool) {
	var all byte
	for _, c := range v {
		d := nibbles[c]
		n, all = n<<4|uint64(d&15), all|d
	}
	return n, all < 1<<4
}

// ownBranch reads the branch of a Via value if that value is ours.
func (s *Server) ownBranch(value []byte) (branch, bool) {
	via, ok := wire.ParseVia(value)
	if !ok {
		return branch{}, false
	}
	b, ok := parseBranch(via.Branch)
	if !ok || b.local >= len(s.locals) {
		return branch{}, false
	}
	return b, s.ownVia(&via)
}

func (s *Server) ownVia(via *wire.ViaValue) bool {
	return s.names.find(via.Host, int(sentByPort(via))) != nil
}

// magicCookie begins the branch of RFC 3261 elements, here in lower case.
const magicCookie = "z9hg4bk"

// cancelTwist sets the record of a CANCEL apart from that of its INVITE, with
// which it shares the branch.
const cancelTwist = 0x9e3779b97f4a7c15

// recordKey is where the record of a request is found.
func recordKey(key uint64, method []byte) uint64 {
	if string(method) == "CANCEL" {
		return key ^ cancelTwist
	}
	return key
}

// transactionKey hashes what identifies the transaction of a request (RFC 3261
// 16.11): the branch and sent-by of the neighbour and what stays equal in
// CANCEL and non-2xx ACK. The hash is seeded anew by each process, so that
// collisions cannot be made from outside.
func (w *worker) transactionKey(from flow) uint64 {
	m, via := &w.msg, &w.via
	b := append(w.hash[:0], byte(from.side()))
	if len(via.Branch) > len(magicCookie) && wire.EqualFold(via.Branch[:len(magicCookie)], magicCookie) {
		b = append(b, via.Branch...)
		b = append(b, via.Host...)
		b = append(b, byte(via.Port)) //nolint:gosec // a part of it is enough
	} else {
		b = append(b, firstValue(m, wire.Via)...)
		b = append(b, m.URI...)
	}
	n, _, _ := m.CSeqValue()
	b = binary.BigEndian.AppendUint32(b, n)
	id, _ := m.Value(wire.CallID)
	b = append(b, id...)
	fromValue, _ := m.Value(wire.From)
	b = append(b, wire.Tag(fromValue)...)
	w.hash = b
	if key := maphash.Bytes(w.s.seed, b); key != 0 {
		return key
	}
	return 1 // zero means none
}

// loopHash hashes what decides where a request goes: a request that comes again
// with the same hash would go round for ever.
func (w *worker) loopHash(from flow) uint32 {
	m := &w.msg
	b := append(w.hash[:0], byte(from.side()))
	b = append(b, m.URI...)
	for i := m.First(wire.Route); i >= 0; i = m.Next(i) {
		b = append(b, ',')
		b = append(b, m.At(i)...)
	}
	id, _ := m.Value(wire.CallID)
	b = append(b, id...)
	n, _, _ := m.CSeqValue()
	b = binary.BigEndian.AppendUint32(b, n)
	w.hash = b
	return uint32(maphash.Bytes(w.s.seed, b)) //nolint:gosec // a part of it is enough
}

// firstValue is the first of the comma-separated values of a field.
func firstValue(m *wire.Message, n wire.Name) []byte {
	v, _ := m.Value(n)
	v, _ = wire.Split(v)
	return v
}
