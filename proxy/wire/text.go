package wire

// The alphabet of RFC 3261 25.1, and the small readers that rest on it.

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// trim removes linear white space, folds included, from both ends of raw[from:to].
func trim(raw []byte, from, to int) (int, int) {
	for from < to && isSpace(raw[from]) {
		from++
	}
	for to > from && isSpace(raw[to-1]) {
		to--
	}
	return from, to
}

// trimmed gives b without the linear white space around it.
func trimmed(b []byte) []byte {
	from, to := trim(b, 0, len(b))
	return b[from:to]
}

// set is a set of bytes.
type set [256]bool

func setOf(others string) (t set) {
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] = true
	}
	for _, c := range []byte(others) {
		t[c] = true
	}
	return t
}

// holds tells whether b consists of nothing but bytes of the set, and of one at least.
func (s *set) holds(b []byte) bool {
	for _, c := range b {
		if !s[c] {
			return false
		}
	}
	return len(b) > 0
}

var (
	// tokens are the bytes of a token.
	tokens = setOf("-.!%*_+`'~")
	// schemes are the bytes of the scheme of a URI, after its first letter.
	schemes = setOf("+-.")
	// hosts are the bytes of a host name or IPv4 address. RFC 3261 does not allow the
	// underscore, but the DNS of some operators has it.
	hosts = setOf("-._")
	// uris are the bytes that a URI may have unescaped, leniently: all but control characters,
	// space and the delimiters of RFC 3986 appendix C.
	uris = func() (t set) {
		for c := range 256 {
			t[c] = c > ' ' && c != 0x7f && c != '<' && c != '>' && c != '"'
		}
		return t
	}()
)

// isToken tells whether b is a token of RFC 3261 25.1.
func isToken(b []byte) bool { return tokens.holds(b) }

// EqualFold compares b with the lower-case ASCII text s without regard to case.
func EqualFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if c != s[i] && lower(c) != s[i] {
			return false
		}
	}
	return true
}

// maxUint is the greatest number that Uint reads: twelve digits are beyond any
// length, port, CSeq or lifetime, and far from overflowing.
const maxUint = 1e12 - 1

// Uint reads a decimal number of at most twelve digits, leading zeros aside.
func Uint(b []byte) (uint64, bool) {
	var n uint64
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		if n = n*10 + uint64(c-'0'); n > maxUint {
			return 0, false
		}
	}
	return n, len(b) > 0
}

// digits tells how many digits b begins with.
func digits(b []byte) int {
	for i, c := range b {
		if !isDigit(c) {
			return i
		}
	}
	return len(b)
}
