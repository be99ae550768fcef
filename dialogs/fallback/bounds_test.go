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

// While the Journal is away, the notes of REGISTERs that have come and gone do not grow with time,
// and what is noted and written is counted no longer.
func TestNotesAreBounded(t *testing.T) {
	for name, long := range map[string]string{"short": "", "long": strings.Repeat("x", 900)} {
		t.Run(name, func(t *testing.T) {
			before := budgettest.Heap()
			q := New(Config{Up: func() bool { return true }, Observing: func() bool { return false }}, zerolog.Nop(), prometheus.NewRegistry())
			q.Attach(nil)
			for i := range 200_000 {
				q.Keep(fmt.Append(nil, "sip:", i, long, "@ims.example"), []byte("R"), 3600, time.Now())
				q.done(q.next(time.Now()), dialogs.Result{Status: 200}, time.Now())
			}
			q.Keep([]byte("sip:kept@ims.example"), []byte("R"), 3600, time.Now())
			grown := budgettest.Heap() - before
			t.Logf("%d notes, %d MB of %d, counted %d", q.Unwritten(), grown>>20, (maxGone+maxGone/8)>>20, q.notes.gone)
			if grown > maxGone+maxGone/8 || q.notes.gone < maxGone*9/10 {
				t.Errorf("%d bytes are taken", grown)
			}
			if _, noted := q.notes.users["sip:kept@ims.example"]; !noted {
				t.Error("one that is kept is not noted")
			}
			for more := true; more; {
				_, more = q.Collect(1000)
			}
			if q.notes.gone != 0 || q.Unwritten() != 0 {
				t.Errorf("%d bytes are counted of nothing", q.notes.gone)
			}
		})
	}
}
