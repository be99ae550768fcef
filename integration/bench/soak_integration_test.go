//go:build integration

package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// TestSoak is the long run in short: a network that loses, doubles and delays, a core that
// restarts and moves; nothing is judged wrongly, nobody is signed out, nothing leaks.
func TestSoak(t *testing.T) {
	l := &lab{dir: t.TempDir()}
	if err := l.compile(t.Context(), "rewatch", "rewatch/cmd/rewatch"); err != nil {
		t.Fatal(err)
	}
	l.rewatch = filepath.Join(l.dir, "rewatch")
	for range 3 {
		var out strings.Builder
		err := soak(t.Context(), l, "127.205.2", soakPlan(true), &out)
		t.Log("\n" + out.String())
		switch {
		case err == nil:
			return
		case !errors.Is(err, errBusy):
			t.Fatal(err)
		}
		t.Log(err)
	}
	t.Skip(errBusy)
}
