package draft

import (
	"net/netip"
	"testing"
)

// TestBranch reads back what it writes, and nothing else.
func TestBranch(t *testing.T) {
	for _, b := range []Branch{
		{Local: 0, Key: 1, Loop: 2},
		{Local: 25, Attempt: 25, Key: 1<<64 - 1, Loop: 1<<32 - 1, Stream: 1<<64 - 1},
		{Local: 3, Key: 1 << 63, Stream: 16},
		{Local: 3, Key: 1 << 63, At: netip.MustParseAddr("192.0.2.7")},
		{Local: 3, Key: 1 << 63, At: netip.MustParseAddr("2001:db8::1:7"), Stream: 16},
	} {
		text := b.AppendTo(nil)
		if got, ok := ParseBranch(text); !ok || got != b {
			t.Errorf("%+v became %s became %+v", b, text, got)
		}
		for i := range len(text) {
			if i < len(branchPrefix)+26 {
				if _, ok := ParseBranch(text[:i]); ok {
					t.Errorf("%s was taken", text[:i])
				}
			}
		}
	}
	for _, s := range []string{"", "z9hG4bKrw", "z9hG4bKrwaa000000000000000100000002-", "z9hG4bKrwaa000000000000000100000002i", "z9hG4bKrwaa000000000000000100000002i7f00000", "z9hG4bKrwaa000000000000000100000002i7f00000g", "z9hG4bKrwaa000000000000000100000002x", "z9hG4bKrwa{000000000000000100000002", "z9hG4bKrwaaG00000000000000100000002"} {
		if _, ok := ParseBranch([]byte(s)); ok {
			t.Errorf("%s was taken", s)
		}
	}
}
