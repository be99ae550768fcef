package fallback

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/budget/budgettest"
	"rewatch/dialogs"
)

// Whatever is registered while the server is down, a Queue takes no more memory than is
// stated, and gives it back.
func TestMemoryIsBounded(t *testing.T) {
	long := strings.Repeat("x", 900)
	for name, register := range map[string]func(i int) (user, raw []byte){
		"small":      func(i int) ([]byte, []byte) { return fmt.Append(nil, "sip:", i, "@x"), []byte("R") },
		"long names": func(i int) ([]byte, []byte) { return fmt.Append(nil, "sip:", i, long), []byte("R") },
		"usual": func(i int) ([]byte, []byte) {
			return fmt.Append(nil, "sip:", i, "@ims.example"), bytes.Repeat([]byte("x"), 1025)
		},
		"long": func(i int) ([]byte, []byte) {
			return fmt.Append(nil, "sip:", i, long), bytes.Repeat([]byte("x"), 60_000)
		},
	} {
		t.Run(name, func(t *testing.T) {
			before, up := budgettest.Heap(), false
			q := New(Config{Up: func() bool { return up }, Observing: func() bool { return false }}, zerolog.Nop(), prometheus.NewRegistry())
			q.Attach(nil) // and the store is away
			n := 0
			for last := -1; q.Len() > last; n++ {
				last = q.Len()
				user, raw := register(n)
				q.Keep(user, raw, 3600, time.Now())
			}
			grown := budgettest.Heap() - before
			t.Logf("%d are kept: %d MB of %d, counted %d", q.Len(), grown>>20, int64(Budget)>>20, q.bytes>>20)
			if grown > Budget || q.bytes < maxBytes-100_000 {
				t.Errorf("%d bytes are taken, %d are stated", grown, int64(Budget))
			}
			for up = true; q.Len() > 0; {
				q.done(q.next(time.Now()), dialogs.Result{Status: 200}, time.Now())
			}
			if q.bytes != 0 {
				t.Errorf("%d bytes are counted of nothing", q.bytes)
			}
			runtime.KeepAlive(q)
		})
	}
}
