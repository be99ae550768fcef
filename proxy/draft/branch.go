package draft

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// A branch of ours is the magic cookie and
//
//	rw <local> <attempt> <key: 16 hex> <loop: 8 hex> [i <at: 8 or 32 hex>] [- <stream: hex>]
//
// local is the socket that the request came by, attempt the number of the attempt (each is a
// transaction of its own), key the hash of the transaction (the same for its retransmissions,
// CANCEL and non-2xx ACK, RFC 3261 16.11), loop the hash of the fields that decide the route
// (16.6 step 8). at is the address that the request was sent to, where the socket is bound to
// all addresses of the host, and stream the connection that the request came by. So the
// response can be sent back without a table.
const branchPrefix = "z9hG4bKrw"

// BranchStart is the beginning of each branch of ours.
var BranchStart = []byte(branchPrefix)

// Branch is a branch of ours.
type Branch struct {
	Local   int
	Attempt uint8
	Key     uint64
	Loop    uint32
	Stream  uint64
	At      netip.Addr
}

// Begins tells whether the request began a dialog. Then rewatch itself has written the only two
// Record-Routes of ours in its response.
func (b Branch) Begins() bool { return b.Loop&1 != 0 }

// Letters is how many sockets and attempts a branch can name, by one letter each.
const Letters = 26

const hexDigits = "0123456789abcdef"

func appendHex(dst []byte, v uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		dst = append(dst, hexDigits[v>>(4*i)&15])
	}
	return dst
}

// AppendTo appends the branch to dst.
func (b Branch) AppendTo(dst []byte) []byte {
	dst = append(dst, branchPrefix...)
	dst = append(dst, 'a'+byte(b.Local), 'a'+b.Attempt%Letters) //nolint:gosec // New bounds the sockets
	dst = appendHex(dst, b.Key, 16)
	dst = appendHex(dst, uint64(b.Loop), 8)
	if b.At.IsValid() {
		dst = appendAddr(append(dst, 'i'), b.At)
	}
	if b.Stream != 0 {
		digits := 1
		for digits < 16 && b.Stream>>(4*digits) != 0 {
			digits++
		}
		dst = append(dst, '-')
		dst = appendHex(dst, b.Stream, digits)
	}
	return dst
}

// ParseBranch reads a branch of ours.
func ParseBranch(v []byte) (b Branch, ok bool) {
	const fixed = len(branchPrefix) + 2 + 16 + 8
	if len(v) < fixed || string(v[:len(branchPrefix)]) != branchPrefix {
		return b, false
	}
	v = v[len(branchPrefix):]
	b.Local, b.Attempt = int(v[0])-'a', v[1]-'a'
	key, ok1 := parseHex(v[2:18])
	loop, ok2 := parseHex(v[18:26])
	if b.Local < 0 || b.Attempt >= Letters || !ok1 || !ok2 {
		return b, false
	}
	b.Key, b.Loop = key, uint32(loop) //nolint:gosec // eight digits
	rest := v[26:]
	if len(rest) > 0 && rest[0] == 'i' {
		if b.At, rest, ok = parseAddr(rest[1:]); !ok {
			return b, false
		}
	}
	if len(rest) > 1 && rest[0] == '-' && len(rest) <= 17 {
		b.Stream, ok = parseHex(rest[1:])
		return b, ok
	} else if len(rest) > 0 {
		return b, false
	}
	return b, true
}

// FindBranch finds the first branch with a prefix in the bytes of a request, nil if there is
// none. whole: the bytes do not end with it.
func FindBranch(raw, prefix []byte) (branch []byte, whole bool) {
	start := bytes.Index(raw, prefix)
	if start < 0 {
		return nil, false
	}
	for end := start; end < len(raw); end++ {
		if c := raw[end]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return raw[start:end], true
		}
	}
	return raw[start:], false
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

// parseAddr reads an address, up to a dash or the end of v.
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
