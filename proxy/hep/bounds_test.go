package hep

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"

	"rewatch/cmd/rewatch/budget/budgettest"
)

// Whatever is mirrored while the collector takes nothing, a Sender takes no more memory than
// is stated, also with the buffers that earlier messages have left.
func TestMemoryIsBounded(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, size := range map[string]func() int{
		"long":  func() int { return MaxRaw },
		"small": func() int { return 300 },
		"any":   func() int { return random.IntN(MaxRaw) },
	} {
		t.Run(name, func(t *testing.T) {
			text := make([]byte, MaxRaw)
			before := budgettest.Heap()
			s := New(Config{Dial: func(context.Context, string) (net.Conn, error) { return &collector{err: io.ErrClosedPipe}, nil }})
			for range 4 {
				n := 0
				for ; len(s.free) > 0; n++ {
					had := s.waiting.Load()
					if s.Mirror("udp", here, there, text[:size()]); s.waiting.Load() == had {
						break
					}
				}
				grown := budgettest.Heap() - before
				t.Logf("%d wait: %d MB of %d, counted %d", n, grown>>20, int64(Budget)>>20, s.waiting.Load()>>20)
				if grown > Budget || n < defaultBuffers && grown < maxWaiting*3/4 {
					t.Errorf("%d bytes are taken, %d are stated", grown, int64(Budget))
				}
				for len(s.full) > 0 { // what is sent leaves its buffer
					s.carry(t.Context(), <-s.full)
				}
			}
			runtime.KeepAlive(s)
		})
	}
}
