package proxy

import (
	"hash/maphash"

	"rewatch/proxy/wire"
)

// A branch of ours is the magic cookie and
//
//	rw <local> <key: 16 hex> <loop: 8 hex> [- <stream: hex>]
//
// local is the socket that the request came in by, key the hash of the
// transaction (the same for its retransmissions, CANCEL and non-2xx ACK,
// RFC 3261 16.11), loop the hash of what decides the route (16.6 step 8), and
// stream the connection that the response has to go back on. So a response finds
// its way without a table.
const branchPrefix = "z9hG4bKrw"

// branch is one of ours, read back.
type branch struct {
	local  int
	key    uint64
	loop   uint32
	stream uint64
}

const hexDigits = "0123456789abcdef"

func appendHex(dst []byte, v uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		dst = append(dst, hexDigits[v>>(4*i)&15])
	}
	return dst
}

func (b branch) appendTo(dst []byte) []byte {
	dst = append(dst, branchPrefix...)
	dst = append(dst, 'a'+byte(b.local)) //nolint:gosec // a handful of sockets
	dst = appendHex(dst, b.key, 16)
	dst = appendHex(dst, uint64(b.loop), 8)
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
	const fixed = len(branchPrefix) + 1 + 16 + 8
	if len(v) < fixed || string(v[:len(branchPrefix)]) != branchPrefix {
		return b, false
	}
	v = v[len(branchPrefix):]
	b.local = int(v[0]) - 'a'
	key, ok1 := parseHex(v[1:17])
	loop, ok2 := parseHex(v[17:25])
	if b.local < 0 || !ok1 || !ok2 {
		return b, false
	}
	b.key, b.loop = key, uint32(loop) //nolint:gosec // eight digits
	if rest := v[25:]; len(rest) > 1 && rest[0] == '-' && len(rest) <= 17 {
		b.stream, ok = parseHex(rest[1:])
		return b, ok
	} else if len(rest) > 0 {
		return b, false
	}
	return b, true
}

func parseHex(v []byte) (n uint64, ok bool) {
	for _, c := range v {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
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
	port := via.Port
	if port == 0 {
		port = 5060
	}
	_, ok := s.names.side(via.Host, port)
	return ok
}

var magicCookie = []byte("z9hG4bK")

// cancelTwist sets the record of a CANCEL apart from that of its INVITE, with
// which it shares the branch.
const cancelTwist = 0x9e3779b97f4a7c15

// transactionKey hashes what identifies the transaction of a request (RFC 3261
// 16.11): the branch and sent-by of the neighbour and what stays equal in
// CANCEL and non-2xx ACK. The hash is seeded anew by each process, so that
// collisions cannot be made from outside.
func (s *Server) transactionKey(m *wire.Message, from flow) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_ = h.WriteByte(byte(from.side()))
	top, _ := m.Value(wire.Via)
	top, _ = wire.Split(top)
	if via, ok := wire.ParseVia(top); ok && len(via.Branch) > len(magicCookie) && wire.EqualFold(via.Branch[:len(magicCookie)], "z9hg4bk") {
		_, _ = h.Write(via.Branch)
		_, _ = h.Write(via.Host)
		_ = h.WriteByte(byte(via.Port))
	} else {
		_, _ = h.Write(top)
		_, _ = h.Write(m.URI)
	}
	n, _, _ := m.CSeqValue()
	_, _ = h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	id, _ := m.Value(wire.CallID)
	_, _ = h.Write(id)
	fromValue, _ := m.Value(wire.From)
	_, _ = h.Write(wire.Tag(fromValue))
	return h.Sum64()
}

// loopHash hashes what decides where a request goes: a request that comes again
// with the same hash would go round for ever.
func (s *Server) loopHash(m *wire.Message, from flow) uint32 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_ = h.WriteByte(byte(from.side()))
	_, _ = h.Write(m.URI)
	for i := m.First(wire.Route); i >= 0; i = m.Next(i) {
		_ = h.WriteByte(',')
		_, _ = h.Write(m.At(i))
	}
	id, _ := m.Value(wire.CallID)
	_, _ = h.Write(id)
	n, _, _ := m.CSeqValue()
	_, _ = h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	return uint32(h.Sum64()) //nolint:gosec // a part of it is enough
}
