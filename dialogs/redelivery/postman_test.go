package redelivery

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
)

// office is a Postman in a bubble, whose phones answer what their user's name says.
type office struct {
	*testing.T
	*Postman

	mu    sync.Mutex
	sent  []time.Time
	ends  []string
	shut  bool
	full  bool
	reply func(id uint64) dialogs.Outcome // nil: nothing comes
	notes []string
}

func inOffice(t *testing.T, o Options, f func(o *office)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &office{T: t}
		o.Send, o.Open, o.Ended, o.Notes = b.send, b.open, b.ended, b
		b.Postman = NewPostman(o)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { b.Postman.Run(ctx) })
		f(b)
		cancel()
		wg.Wait()
	})
}

func (b *office) send(id uint64, p dialogs.Parcel) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return false
	}
	if string(p.Raw) != "NOTIFY" {
		b.Errorf("sent %q", p.Raw)
	}
	b.sent = append(b.sent, time.Now())
	if b.reply != nil {
		go b.Outcome(id, b.reply(id))
	}
	return true
}

func (b *office) open(netip.AddrPort) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.shut
}

func (b *office) ended(e End, o *dialogs.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends = append(b.ends, fmt.Sprintf("%d/%d %d by %d/%d", e.Dialog, e.CSeq, e.Result, o.Kind, o.Status))
}

func (b *office) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

func (b *office) Kept(_ time.Time, n *Notify, waiting int, since time.Time) {
	b.note("kept %d, %d since %v", n.CSeq, waiting, time.Since(since))
}

func (b *office) Tried(a *Attempt, o *dialogs.Outcome) {
	b.note("try %d of %d %v ago: %d", a.Try, a.CSeq, time.Since(a.At), o.Status)
}

func (b *office) Ended(_ time.Time, e *End, n int, _ time.Time) {
	b.note("%d %s, %d left", e.CSeq, e.Result, n)
}

// TestPostmanNotes tells what becomes of what is kept, by whatever way it ends.
func TestPostmanNotes(t *testing.T) {
	inOffice(t, Options{Config: Config{For: time.Minute, MaxBytes: 1 << 20}}, func(b *office) {
		b.reply = answer(480)
		b.Keep(time.Now(), notify(1, 1, false))
		<-time.After(6 * time.Second)
		b.Keep(time.Now(), notify(1, 2, true)) // replaces the one before it
		b.set(func() { b.reply = answer(200) })
		b.Alive(time.Now(), "sip:alice@x", "")
		synctest.Wait()
		b.set(func() { b.reply = answer(480) })
		b.Keep(time.Now(), notify(1, 3, true))
		b.Had(time.Now(), 1, 3)
		b.Keep(time.Now(), notify(1, 4, true))
		b.Drop(1, Dropped)
		b.set(func() { b.reply = nil })
		b.Keep(time.Now(), notify(1, 5, true))
		<-time.After(time.Minute + look)
		synctest.Wait()
		want := []string{
			"kept 1, 1 since 0s", "try 1 of 1 0s ago: 480", "kept 2, 1 since 6s", "try 1 of 2 0s ago: 200", "2 delivered, 0 left",
			"kept 3, 1 since 0s", "3 delivered, 0 left", "kept 4, 1 since 0s", "4 dropped, 0 left", "kept 5, 1 since 0s", "5 given-back, 0 left",
		}
		if !slices.Equal(b.notes, want) {
			t.Errorf("got %s", strings.Join(b.notes, "; "))
		}
	})
}

// TestStopped: a Postman that wakes up too late gives nothing up for the time that it has lost.
func TestStopped(t *testing.T) {
	for stopped, want := range map[time.Duration][]string{
		0: {"1/1 2 by 1/0"}, 200 * time.Millisecond: {"1/1 2 by 1/0"}, 15 * time.Second: nil,
	} {
		inOffice(t, Options{Config: Config{For: time.Minute, MaxBytes: 1 << 20}}, func(b *office) {
			b.reply = nil
			b.Keep(time.Now(), notify(1, 1, true))
			<-time.After(50 * time.Second)
			b.slept(time.Now().Add(-look-stopped), look)
			<-time.After(10*time.Second + 2*look)
			synctest.Wait()
			b.set(func() {
				if !slices.Equal(b.ends, want) {
					t.Errorf("stopped for %s: %q", stopped, b.ends)
				}
			})
		})
	}
}

func (b *office) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *office) want(sent int, ends ...string) {
	b.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.ends)
	if len(b.sent) != sent || !slices.Equal(b.ends, ends) {
		b.Fatalf("sent %d, ends %s; want %d, %s", len(b.sent), strings.Join(b.ends, ", "), sent, strings.Join(ends, ", "))
	}
	b.sent, b.ends = nil, nil
}

func answer(status int) func(uint64) dialogs.Outcome {
	return func(uint64) dialogs.Outcome {
		return dialogs.Outcome{Kind: dialogs.Responded, At: time.Now(), Status: status, RetryAfter: -1}
	}
}

var silence = &dialogs.Outcome{Kind: dialogs.TimedOut, RetryAfter: -1}

func TestPostmanDelivers(t *testing.T) {
	inOffice(t, Options{Config: roomy}, func(b *office) {
		b.reply = answer(200)
		if ok, _ := b.Keep(time.Now(), notify(1, 1, true)); !ok {
			t.Fatal("not kept")
		}
		b.want(0)
		b.Alive(time.Now(), "sip:alice@x", "a")
		b.want(1, "1/1 0 by 0/200")
		if n, size := b.Totals(); n != 0 || size != 0 || b.Some() {
			t.Error(n, size)
		}
	})
}

func TestPostmanTriesAgain(t *testing.T) {
	inOffice(t, Options{Config: roomy}, func(b *office) {
		b.reply = answer(480)
		b.Keep(time.Now(), notify(1, 1, true))
		<-time.After(16 * time.Second)
		b.want(2)
		if n, since := b.Waiting("sip:alice@x"); n != 1 || time.Since(since) != 16*time.Second {
			t.Error(n, since)
		}
		b.set(func() { b.reply = answer(481) })
		<-time.After(20 * time.Second)
		b.want(1, "1/1 2 by 0/481")
	})
}

func TestPostmanGivesUp(t *testing.T) {
	inOffice(t, Options{Config: Config{For: time.Minute, MaxBytes: 1 << 20}}, func(b *office) {
		b.Keep(time.Now(), notify(1, 1, true))
		<-time.After(time.Minute + look)
		b.want(1, "1/1 2 by 1/0") // the attempt is still under way
		b.Outcome(1, *silence)
		b.want(0)
	})
}

func TestPostmanWaitsForAHold(t *testing.T) {
	inOffice(t, Options{Config: roomy}, func(b *office) {
		b.reply = answer(200)
		b.shut = true
		b.Keep(time.Now(), notify(1, 1, true))
		<-time.After(time.Minute)
		b.want(0)
		b.set(func() { b.shut, b.full = false, true })
		<-time.After(time.Minute)
		b.want(0)
		b.set(func() { b.full = false })
		<-time.After(shut)
		b.want(1, "1/1 0 by 0/200")
	})
}

func TestPostmanKeepsItsRate(t *testing.T) {
	inOffice(t, Options{Config: roomy, Rate: 10}, func(b *office) {
		b.reply = answer(200)
		for i := range 100 {
			n := notify(uint64(i), 1, true) //nolint:gosec // small
			n.User = fmt.Sprintf("sip:user%d@x", i)
			b.Keep(time.Now(), n)
			b.Alive(time.Now(), n.User, "")
		}
		<-time.After(5 * time.Second)
		synctest.Wait()
		b.mu.Lock()
		n := len(b.sent)
		b.mu.Unlock()
		if n < 49 || n > 52 {
			t.Errorf("%d sent in 5 s, at 10/s", n)
		}
	})
}

func TestPostmanTriesLast(t *testing.T) {
	inOffice(t, Options{Config: roomy}, func(b *office) {
		b.reply = answer(200)
		b.Keep(time.Now(), notify(1, 1, true))
		if left := b.Last(b.Context()); left != 0 {
			t.Error(left)
		}
		b.want(1, "1/1 0 by 0/200")
		b.set(func() { b.reply = answer(480) })
		b.Keep(time.Now(), notify(1, 2, true))
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		if left := b.Last(ctx); left != 1 {
			t.Error(left)
		}
	})
}

func TestPostmanDrops(t *testing.T) {
	inOffice(t, Options{Config: roomy}, func(b *office) {
		if ends := b.Drop(1, Dropped); ends != nil {
			t.Error(ends)
		}
		b.Keep(time.Now(), notify(1, 1, true))
		b.Keep(time.Now(), notify(1, 2, false)) // must not overtake
		if ends := b.Drop(1, Dropped); len(ends) != 2 || !ends[1].Last {
			t.Error(ends)
		}
		b.Alive(time.Now(), "sip:alice@x", "")
		b.want(0)
	})
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		kind          dialogs.OutcomeKind
		status, after int
		want          Outcome
	}{
		{dialogs.TimedOut, 0, -1, Silence},
		{dialogs.Unreachable, 0, -1, Temporary},
		{dialogs.Responded, 200, -1, Accepted},
		{dialogs.Responded, 202, 5, Accepted},
		{dialogs.Responded, 401, 5, Final},
		{dialogs.Responded, 407, -1, Final},
		{dialogs.Responded, 404, -1, Final},
		{dialogs.Responded, 404, 0, Temporary},
		{dialogs.Responded, 408, -1, Temporary},
		{dialogs.Responded, 480, -1, Temporary},
		{dialogs.Responded, 481, -1, Final},
		{dialogs.Responded, 481, 5, Final},
		{dialogs.Responded, 486, -1, Final},
		{dialogs.Responded, 486, 10, Temporary},
		{dialogs.Responded, 489, -1, Final},
		{dialogs.Responded, 491, -1, Temporary},
		{dialogs.Responded, 500, -1, Failed500},
		{dialogs.Responded, 500, 3, Temporary},
		{dialogs.Responded, 501, -1, Final},
		{dialogs.Responded, 502, -1, Temporary},
		{dialogs.Responded, 503, -1, Temporary},
		{dialogs.Responded, 504, -1, Temporary},
		{dialogs.Responded, 505, -1, Final},
		{dialogs.Responded, 603, -1, Final},
	} {
		if got := Classify(&dialogs.Outcome{Kind: c.kind, Status: c.status, RetryAfter: c.after}); got != c.want {
			t.Errorf("%v %d Retry-After %d: %v, want %v", c.kind, c.status, c.after, got, c.want)
		}
	}
}
