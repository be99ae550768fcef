// Package steps counts steps instead of time: TestWorkGrowsAsTheMessage builds the SIP path
// with a step counted in each function and each turn of a loop, and with the functions of
// package bytes that are here, which count the bytes that they look at. The product is built
// without it.
package steps

import (
	"bytes"
	"sync/atomic"
)

var taken atomic.Uint64

// Step counts one step.
func Step() { taken.Add(1) }

// Count is how many there were.
func Count() uint64 { return taken.Load() }

// look counts the bytes up to where something was found, or all.
func look(i, all int) {
	if i < 0 {
		i = all
	}
	taken.Add(uint64(i) + 1) // #nosec G115 -- it is not negative
}

// The functions of package bytes, with their meaning.

// IndexByte counts what is looked at.
func IndexByte(b []byte, c byte) int {
	i := bytes.IndexByte(b, c)
	look(i, len(b))
	return i
}

// LastIndexByte counts all.
func LastIndexByte(b []byte, c byte) int { look(-1, len(b)); return bytes.LastIndexByte(b, c) }

// Index counts what is looked at.
func Index(b, sep []byte) int {
	i := bytes.Index(b, sep)
	look(i, len(b))
	return i
}

// IndexAny counts what is looked at.
func IndexAny(b []byte, chars string) int {
	i := bytes.IndexAny(b, chars)
	look(i, len(b))
	return i
}

// IndexFunc counts what is looked at.
func IndexFunc(b []byte, f func(rune) bool) int {
	i := bytes.IndexFunc(b, f)
	look(i, len(b))
	return i
}

// Contains counts what is looked at.
func Contains(b, sub []byte) bool { return Index(b, sub) >= 0 }

// ContainsAny counts what is looked at.
func ContainsAny(b []byte, chars string) bool { return IndexAny(b, chars) >= 0 }

// CountBytes is Count of package bytes, and counts all.
func CountBytes(b, sep []byte) int { look(-1, len(b)); return bytes.Count(b, sep) }

// Cut counts what is looked at.
func Cut(b, sep []byte) (before, after []byte, found bool) {
	before, after, found = bytes.Cut(b, sep)
	look(len(before), len(b))
	return before, after, found
}

// Clone counts what is copied.
func Clone(b []byte) []byte { look(-1, len(b)); return bytes.Clone(b) }

// Equal counts the shorter one.
func Equal(a, b []byte) bool { look(-1, min(len(a), len(b))); return bytes.Equal(a, b) }

// EqualFold counts the shorter one.
func EqualFold(a, b []byte) bool { look(-1, min(len(a), len(b))); return bytes.EqualFold(a, b) }

// HasPrefix counts the prefix.
func HasPrefix(b, prefix []byte) bool { look(-1, len(prefix)); return bytes.HasPrefix(b, prefix) }

// trimmed counts what was taken away.
func trimmed(b, rest []byte) []byte { look(len(b)-len(rest), 0); return rest }

// Trim counts what is taken away.
func Trim(b []byte, cutset string) []byte { return trimmed(b, bytes.Trim(b, cutset)) }

// TrimLeft counts what is taken away.
func TrimLeft(b []byte, cutset string) []byte { return trimmed(b, bytes.TrimLeft(b, cutset)) }

// TrimRight counts what is taken away.
func TrimRight(b []byte, cutset string) []byte { return trimmed(b, bytes.TrimRight(b, cutset)) }

// TrimSpace counts what is taken away.
func TrimSpace(b []byte) []byte { return trimmed(b, bytes.TrimSpace(b)) }

// TrimPrefix counts the prefix.
func TrimPrefix(b, prefix []byte) []byte {
	look(-1, len(prefix))
	return bytes.TrimPrefix(b, prefix)
}

// TrimSuffix counts the suffix.
func TrimSuffix(b, suffix []byte) []byte {
	look(-1, len(suffix))
	return bytes.TrimSuffix(b, suffix)
}

// ToLower counts all.
func ToLower(b []byte) []byte { look(-1, len(b)); return bytes.ToLower(b) }
