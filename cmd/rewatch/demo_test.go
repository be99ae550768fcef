package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// TestDemo runs the whole show: the verdict of the demo is that of the test.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	t.Parallel()
	var out bytes.Buffer
	if err := runDemo(t.Context(), nil, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours where there is no terminal")
	}
}

func TestDemoFlags(t *testing.T) {
	for _, args := range [][]string{{"-x"}, {"now"}} {
		var usage usageError
		if err := runDemo(t.Context(), args, new(bytes.Buffer)); !errors.As(err, &usage) {
			t.Errorf("%q: %v, want a usage error", args, err)
		}
	}
	var out bytes.Buffer
	if err := runDemo(t.Context(), []string{"-h"}, &out); err != nil || !strings.Contains(out.String(), "-keep") {
		t.Errorf("-h: %v, %q", err, out.String())
	}
}
