package limits

import (
	"runtime"
	"testing"

	"github.com/rs/zerolog"
)

func TestConnections(t *testing.T) {
	for _, c := range []struct{ wanted, descriptors, want int }{
		{10000, 0, 10000},
		{10000, 1 << 20, 10000},
		{10000, 20000, 8950},
		{10000, 1024, 411},
		{100, 1024, 100},
		{100, 20, 1},
	} {
		if got := connections(c.wanted, c.descriptors, zerolog.Nop()); got != c.want {
			t.Errorf("of %d wanted, with %d descriptors: %d, want %d", c.wanted, c.descriptors, got, c.want)
		}
	}
}

// TestDescriptors: the system tells how many it gives, and the process has those at least
// that it was started with.
func TestDescriptors(t *testing.T) {
	if n := descriptors(); runtime.GOOS == "linux" && n != 0 && n < 3 {
		t.Errorf("%d descriptors", n)
	}
	if got := Connections(1, zerolog.Nop()); got != 1 {
		t.Errorf("of 1 connection wanted %d are allowed", got)
	}
}

// TestOneMoreProcessor: a process that has one processor has two while the reader keeps one
// to itself; where the operator has chosen, or there are more, nothing is changed.
func TestOneMoreProcessor(t *testing.T) {
	was := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
	t.Setenv("GOMAXPROCS", "1")
	if runtime.GOMAXPROCS(1); OneMoreProcessor() != nil {
		t.Error("the operator's choice is changed")
	}
	t.Setenv("GOMAXPROCS", "")
	if runtime.GOMAXPROCS(2); OneMoreProcessor() != nil {
		t.Error("two processors are changed")
	}
	runtime.GOMAXPROCS(1)
	more := OneMoreProcessor()
	if more == nil {
		t.Fatal("nothing is given")
	}
	if more(true); runtime.GOMAXPROCS(0) != 2 {
		t.Errorf("held: %d processors", runtime.GOMAXPROCS(0))
	}
	if more(false); runtime.GOMAXPROCS(0) != 1 {
		t.Errorf("given back: %d processors", runtime.GOMAXPROCS(0))
	}
}
