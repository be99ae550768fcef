package proxy

import (
	"net/netip"
	"testing"
)

// TestBranch reads back what it writes, and nothing else.
func TestBranch(t *testing.T) {
	for _, b := range []branch{
		{local: 0, key: 1, loop: 2},
		{local: 25, attempt: 25, key: 1<<64 - 1, loop: 1<<32 - 1, stream: 1<<64 - 1},
		{local: 3, key: 1 << 63, stream: 16},
		{local: 3, key: 1 << 63, at: netip.MustParseAddr("192.0.2.7")},
		{local: 3, key: 1 << 63, at: netip.MustParseAddr("2001:db8::1:7"), stream: 16},
	} {
		text := b.appendTo(nil)
		if got, ok := parseBranch(text); !ok || got != b {
			t.Errorf("%+v became %s became %+v", b, text, got)
		}
		for i := range len(text) {
			if i < len(branchPrefix)+26 {
				if _, ok := parseBranch(text[:i]); ok {
					t.Errorf("%s was taken", text[:i])
				}
			}
		}
	}
	for _, s := range []string{"", "z9hG4bKrw", "z9hG4bKrwaa000000000000000100000002-", "z9hG4bKrwaa000000000000000100000002i", "z9hG4bKrwaa000000000000000100000002i7f00000", "z9hG4bKrwaa000000000000000100000002i7f00000g", "z9hG4bKrwaa000000000000000100000002x", "z9hG4bKrwa{000000000000000100000002", "z9hG4bKrwaaG00000000000000100000002"} {
		if _, ok := parseBranch([]byte(s)); ok {
			t.Errorf("%s was taken", s)
		}
	}
}
