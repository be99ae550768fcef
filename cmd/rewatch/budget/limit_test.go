package budget

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

// TestMemoryOf takes the least limit on the way from the own cgroup to the root.
func TestMemoryOf(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		own   string
		want  int64
	}{
		{"none", nil, "0::/\n", 0},
		{"no limit", map[string]string{"memory.max": "max\n"}, "0::/\n", 0},
		{"a container", map[string]string{"memory.max": "268435456\n"}, "0::/\n", 268435456},
		{"a unit", map[string]string{"a/b/memory.max": "max\n", "a/memory.max": "1000\n"}, "0::/a/b\n", 1000},
		{"the least", map[string]string{"a/b/memory.max": "500\n", "a/memory.max": "1000\n"}, "0::/a/b\n", 500},
		{"elsewhere", map[string]string{"x/memory.max": "500\n"}, "0::/a/b\n", 0},
		{"out of it", map[string]string{"memory.max": "700\n"}, "0::/../../x\n", 700},
		{"version 1", map[string]string{"memory/memory.limit_in_bytes": "4096\n"}, "5:memory:/a\n", 4096},
		{"version 1 without", map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, "5:memory:/a\n", 0},
		{"nonsense", map[string]string{"memory.max": "-7x"}, "nonsense", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range c.files {
				file := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := memoryOf(root, c.own); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// TestGOMEMLIMIT takes what the operator has set.
func TestGOMEMLIMIT(t *testing.T) {
	before := debug.SetMemoryLimit(1 << 30)
	defer debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "1GiB")
	if n := Limit(); n != 1<<30 {
		t.Errorf("the limit is %d", n)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	t.Setenv("GOMEMLIMIT", "off")
	if n := Limit(); n != 0 {
		t.Errorf("without one the limit is %d", n)
	}
}
