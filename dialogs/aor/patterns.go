package aor

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
)

// Pattern matches addresses of record: "*" stands for any number of characters and "?"
// for one. All others stand for themselves, those of the domain in either case.
type Pattern string

// ParsePattern gives the pattern that a text is. It has to begin as an address of record
// does, or with an asterisk: one that can match nothing would be a mistake that nobody
// notices.
func ParsePattern(text string) (Pattern, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	if strings.HasPrefix(text, "*") {
		scheme, rest, ok = "*", text, true
	}
	if !ok || rest == "" || strings.ContainsAny(text, " \t<>\"") || scheme != "*" && !isScheme([]byte(scheme)) {
		return "", errors.New("a pattern such as sip:*@ims.example, tel:+49* or *")
	}
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		text = text[:i] + strings.ToLower(text[i:])
	}
	if scheme != "*" {
		text = strings.ToLower(scheme) + text[len(scheme):]
	}
	return Pattern(text), nil
}

// Matches says whether an address of record in its canonical form is meant.
func (p Pattern) Matches(aor string) bool {
	// star is where the last asterisk stands, mark how far it reaches.
	i, j, star, mark := 0, 0, -1, 0
	for i < len(aor) {
		switch {
		case j < len(p) && p[j] == '*':
			star, mark = j, i
			j++
		case j < len(p) && (p[j] == '?' || p[j] == aor[i]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(string(p[j:]), "*") == ""
}

// Patterns match what one of them does.
type Patterns []Pattern

// Match says whether an address of record in its canonical form is meant by one of them.
func (ps Patterns) Match(aor string) bool {
	for _, p := range ps {
		if p.Matches(aor) {
			return true
		}
	}
	return false
}

// Within says whether an address of record is among this percentage of all. It is by a
// hash of the address alone: every replica says the same, at any time, and whoever is
// among a percentage is among each larger one.
func Within(percent float64, aor string) bool {
	sum := sha256.Sum256([]byte(aor))
	const all = 1 << 32
	return float64(binary.BigEndian.Uint32(sum[:4])) < percent/100*all
}
