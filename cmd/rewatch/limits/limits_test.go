package limits

import (
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
