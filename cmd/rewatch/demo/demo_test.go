package demo

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"rewatch/cmd/rewatch/cli"
)

// TestDemo runs the whole show: the verdict of the demo is that of the test.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	t.Parallel()
	var out bytes.Buffer
	if err := Command(t.Context(), cli.Call{Stdout: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours where there is no terminal")
	}
}

func TestDemoFlags(t *testing.T) {
	for _, args := range [][]string{{"-x"}, {"now"}} {
		var usage cli.UsageError
		if err := Command(t.Context(), cli.Call{Args: args, Stdout: new(bytes.Buffer)}); !errors.As(err, &usage) {
			t.Errorf("%q: %v, want a usage error", args, err)
		}
	}
	var out bytes.Buffer
	if err := Command(t.Context(), cli.Call{Args: []string{"-h"}, Stdout: &out}); err != nil || !strings.Contains(out.String(), "-keep") {
		t.Errorf("-h: %v, %q", err, out.String())
	}
}
