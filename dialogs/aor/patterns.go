package aor

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// Pattern matches addresses of record: "*" stands for any number of characters, "?" for one,
// and any other character for itself; in the domain case does not matter.
type Pattern string

// ParsePattern parses a pattern. It has to begin with a scheme or with an asterisk, for any
// other matches nothing, and nobody would notice the mistake.
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

// Matches says whether a canonical address of record matches.
func (p Pattern) Matches(aor string) bool {
	// star is the place of the last asterisk, mark the end of what it stands for.
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

// Patterns are a list of patterns.
type Patterns []Pattern

// Match says whether a canonical address of record matches one of the patterns.
func (ps Patterns) Match(aor string) bool {
	return slices.ContainsFunc(ps, func(p Pattern) bool { return p.Matches(aor) })
}

// Within says whether an address of record belongs to a percentage of all users. It depends on
// a hash of the address alone: every replica says the same, at any time, and a user within a
// percentage is within each larger one.
func Within(percent float64, aor string) bool {
	sum := sha256.Sum256([]byte(aor))
	const all = 1 << 32
	return float64(binary.BigEndian.Uint32(sum[:4])) < percent/100*all
}
