package transaction

import (
	"math/rand/v2"
	"testing"
	"time"

	"rewatch/proxy/resolve"
)

// TestWheel holds a wheel against what it stands for: every record comes by once,
// not before its deadline and at most two ticks behind it, however far away that
// is and however irregularly the wheel is turned.
func TestWheel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	var w wheel
	var due []*entry
	open := map[*entry]Moment{}
	for now := Moment(1); now < Moment(30*time.Minute); {
		for range rnd.IntN(3) {
			r := &entry{}
			open[r] = now.Add(time.Duration(rnd.Int64N(int64(5 * time.Minute))))
			w.set(r, open[r])
		}
		for r := range open { // change some and take some away
			switch rnd.IntN(50) {
			case 0:
				w.clear(r)
				delete(open, r)
			case 1:
				open[r] = now.Add(time.Duration(rnd.Int64N(int64(time.Minute))))
				w.set(r, open[r])
			}
			break
		}
		step := Tick
		if rnd.IntN(200) == 0 {
			step = time.Duration(rnd.Int64N(int64(3 * time.Minute))) // the process slept
		}
		before := now
		now = now.Add(step)
		due = w.expired(now, due[:0])
		for _, r := range due {
			at, ok := open[r]
			if !ok || at > now || at.Add(2*Tick) < before {
				t.Fatalf("at %d: deadline %d, known %t", now, at, ok)
			}
			delete(open, r)
		}
	}
	for _, r := range w.expired(Moment(time.Hour), nil) {
		delete(open, r)
	}
	if len(open) != 0 {
		t.Error(len(open), "were lost")
	}
}

// TestReuse gives a transaction nothing of the one that it was.
func TestReuse(t *testing.T) {
	table := NewTable(10, Rules{T1: 500 * time.Millisecond, T2: 4 * time.Second, NotifyTimeout: 28 * time.Second})
	q := Request{Kind: Notify, From: Origin{Reliable: true}, Hops: make([]resolve.Hop, 3), Whole: true}
	table.Begin(16, 1, &q, []byte("secret"))
	s := table.shard(16)
	first := s.byKey[16]
	table.Close(16, 2)
	table.Expire(0, Moment(time.Hour), nil)
	if table.Len() != 0 || table.bytes.Load() != 0 {
		t.Fatal(table.Len(), table.bytes.Load())
	}
	again := s.add(32)
	if again != first || again.kind != Other || again.phase != open || len(again.more.rest) != 0 || again.text != nil || again.slot != 0 || again.whole {
		t.Errorf("%+v", again)
	}
	if len(s.bufs) != 1 {
		t.Error(len(s.bufs))
	}
}
