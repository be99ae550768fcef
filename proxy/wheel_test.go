package proxy

import (
	"math/rand/v2"
	"net/netip"
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
	var due []*record
	open := map[*record]moment{}
	for now := moment(1); now < moment(30*time.Minute); {
		for range rnd.IntN(3) {
			r := &record{}
			open[r] = now.add(time.Duration(rnd.Int64N(int64(5 * time.Minute))))
			w.set(r, open[r])
		}
		for r := range open { // change some and take some away
			switch rnd.IntN(50) {
			case 0:
				w.clear(r)
				delete(open, r)
			case 1:
				open[r] = now.add(time.Duration(rnd.Int64N(int64(time.Minute))))
				w.set(r, open[r])
			}
			break
		}
		step := tick
		if rnd.IntN(200) == 0 {
			step = time.Duration(rnd.Int64N(int64(3 * time.Minute))) // the process slept
		}
		before := now
		now = now.add(step)
		due = w.expired(now, due[:0])
		for _, r := range due {
			at, ok := open[r]
			if !ok || at > now || at.add(2*tick) < before {
				t.Fatalf("at %d: deadline %d, known %t", now, at, ok)
			}
			delete(open, r)
		}
	}
	for _, r := range w.expired(moment(time.Hour), nil) {
		delete(open, r)
	}
	if len(open) != 0 {
		t.Error(len(open), "were lost")
	}
}

// TestRecordReuse gives a record nothing of the one that it was.
func TestRecordReuse(t *testing.T) {
	table := newTable(10)
	s, _ := table.lock(16)
	r := table.add(s, 16)
	s.keep(&r.text, []byte("secret"))
	r.notify, r.phase = true, judged
	r.own().rest = append(r.more.rest, resolve.Hop{}, resolve.Hop{})
	s.wheel.set(r, 5)
	table.remove(s, r)
	again := table.add(s, 32)
	s.mu.Unlock()
	if again != r || again.notify || again.phase != open || len(again.more.rest) != 0 || again.text != nil || again.slot != 0 {
		t.Errorf("%+v", again)
	}
	if len(s.bufs) != 1 || table.len() != 1 {
		t.Error(len(s.bufs), table.len())
	}
}

// TestBranch reads back what it writes, and nothing else.
func TestBranch(t *testing.T) {
	for _, b := range []branch{
		{local: 0, key: 1, loop: 2},
		{local: 25, attempt: 25, key: 1<<64 - 1, loop: 1<<32 - 1, stream: 1<<64 - 1},
		{local: 3, key: 1 << 63, stream: 16},
		{local: 3, key: 1 << 63, at: netip.MustParseAddr("192.0.2.7")},
		{local: 3, key: 1 << 63, at: netip.MustParseAddr("2001:db8::1:7"), stream: 16},
	} {
		text := b.appendTo(nil)
		if got, ok := parseBranch(text); !ok || got != b {
			t.Errorf("%+v became %s became %+v", b, text, got)
		}
		for i := range len(text) {
			if i < len(branchPrefix)+26 {
				if _, ok := parseBranch(text[:i]); ok {
					t.Errorf("%s was taken", text[:i])
				}
			}
		}
	}
	for _, s := range []string{"", "z9hG4bKrw", "z9hG4bKrwaa000000000000000100000002-", "z9hG4bKrwaa000000000000000100000002i", "z9hG4bKrwaa000000000000000100000002i7f00000", "z9hG4bKrwaa000000000000000100000002i7f00000g", "z9hG4bKrwaa000000000000000100000002x", "z9hG4bKrwa{000000000000000100000002", "z9hG4bKrwaaG00000000000000100000002"} {
		if _, ok := parseBranch([]byte(s)); ok {
			t.Errorf("%s was taken", s)
		}
	}
}
