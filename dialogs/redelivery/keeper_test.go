package redelivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
)

// bench is a Keeper and its time, with short words for what happens to it.
type bench struct {
	*testing.T
	*Keeper

	start, now time.Time
	log        []string
}

func newBench(t *testing.T, c Config) *bench {
	t.Helper()
	start := time.Unix(1e9, 0)
	return &bench{T: t, Keeper: New(c), start: start, now: start}
}

var roomy = Config{For: 10 * time.Minute, MaxBytes: 1 << 20}

func notify(dialog uint64, cseq uint32, full bool) Notify {
	return Notify{User: "sip:alice@x", Device: "a", Dialog: dialog, CSeq: cseq, Full: full, Parcel: dialogs.Parcel{Raw: []byte("NOTIFY")}}
}

func (b *bench) keeps(n Notify) {
	b.Helper()
	ok, ends := b.Keep(b.now, n)
	if !ok {
		b.Fatalf("%d/%d is not kept", n.Dialog, n.CSeq)
	}
	b.end(ends)
}

func (b *bench) end(ends []End) {
	for _, e := range ends {
		b.log = append(b.log, fmt.Sprintf("%d/%d %s", e.Dialog, e.CSeq, strings.ReplaceAll(e.Result.String(), "-", " ")))
	}
}

// sends waits for the next attempt, which has to come after that time, or up to a fifth
// sooner.
func (b *bench) sends(after time.Duration, dialog uint64, cseq uint32) Attempt {
	b.Helper()
	_, at, ok := b.Next(b.now)
	if ok || at.IsZero() {
		b.Fatalf("an attempt is due before its time (%v), or nothing waits", ok)
	}
	if wait := at.Sub(b.start); wait > after || wait < after-after/5 {
		b.Fatalf("the attempt comes after %s, want %s", wait, after)
	}
	b.now = at
	return b.sendsNow(dialog, cseq)
}

// sendsNow takes the attempt that is due.
func (b *bench) sendsNow(dialog uint64, cseq uint32) Attempt {
	b.Helper()
	a, _, ok := b.Next(b.now)
	if !ok || a.Dialog != dialog || a.CSeq != cseq {
		b.Fatalf("due is %d/%d (%v), want %d/%d", a.Dialog, a.CSeq, ok, dialog, cseq)
	}
	b.start = b.now
	return a
}

func (b *bench) idle() {
	b.Helper()
	if a, _, ok := b.Next(b.now); ok {
		b.Fatalf("%d/%d is sent, want nothing", a.Dialog, a.CSeq)
	}
}

func (b *bench) done(a Attempt, o Outcome) { b.end(b.Done(b.now, &a, o)) }

func (b *bench) want(log ...string) {
	b.Helper()
	if !slices.Equal(b.log, log) {
		b.Fatalf("ends: %s; want %s", strings.Join(b.log, ", "), strings.Join(log, ", "))
	}
	b.log = nil
}

func TestPausesGrow(t *testing.T) {
	b := newBench(t, Config{For: time.Hour, MaxBytes: 1 << 20})
	b.keeps(notify(1, 1, true))
	for _, pause := range []int{5, 10, 20, 40, 80, 120, 120} {
		b.done(b.sends(time.Duration(pause)*time.Second, 1, 1), Temporary)
	}
}

func TestDevicesAreNotTriedTogether(t *testing.T) {
	b := newBench(t, roomy)
	times := map[time.Time]bool{}
	for i := range 50 {
		n := notify(uint64(i), 1, true) //nolint:gosec // small
		n.User = fmt.Sprintf("sip:user%d@x", i)
		b.keeps(n)
		times[b.users[n.User].devices[0].next] = true
	}
	if len(times) < 40 {
		t.Errorf("50 devices are tried at %d times", len(times))
	}
}

func TestSignOfLife(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 1, true))
	other := notify(2, 1, true)
	other.Device = "b"
	b.keeps(other)
	b.idle()
	b.Alive(b.now, "sip:nobody@x", "")
	b.Alive(b.now, "sip:alice@x", "c")
	b.idle()
	b.Alive(b.now, "sip:alice@x", "b")
	a := b.sendsNow(2, 1)
	b.idle() // one attempt at a time, and the other device has shown nothing
	b.done(a, Accepted)
	b.Alive(b.now, "sip:alice@x", "")
	b.done(b.sendsNow(1, 1), Accepted)
	b.want("2/1 delivered", "1/1 delivered")
}

func TestSignOfLifeDuringAnAttempt(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 1, true))
	old := b.sends(5*time.Second, 1, 1)
	b.now = b.now.Add(500 * time.Millisecond)
	b.Alive(b.now, "sip:alice@x", "")
	b.idle() // it is young: its retransmission comes soon
	b.now = b.now.Add(time.Second)
	b.Alive(b.now, "sip:alice@x", "")
	again := b.sendsNow(1, 1)
	b.done(old, Final) // of the one that was given up
	b.want()
	b.done(again, Failed500)
	b.want("1/1 delivered") // the phone had it from the old one
}

func TestLateAnswerOfAnOldAttempt(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 1, true))
	b.keeps(notify(1, 2, false))
	old := b.sends(5*time.Second, 1, 1)
	b.now = b.now.Add(2 * time.Second)
	b.Alive(b.now, "sip:alice@x", "a")
	again := b.sendsNow(1, 1)
	b.done(old, Accepted)
	b.want("1/1 delivered")
	b.idle() // the other one may still reach the phone
	b.done(again, Failed500)
	b.done(b.sendsNow(1, 2), Accepted)
	b.want("1/2 delivered")
}

func TestHeardDuringAYoungAttempt(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 1, true))
	a := b.sends(5*time.Second, 1, 1)
	b.Alive(b.now, "sip:alice@x", "a")
	b.done(a, Temporary)
	b.done(b.sends(time.Second, 1, 1), Temporary)
	b.sends(10*time.Second, 1, 1) // and no sooner than after any other
}

func TestOrderAndReplacement(t *testing.T) {
	for _, c := range []struct {
		name string
		keep string // (f)ull, (p)artial or (b)are, with CSeqs from 1
		want []string
	}{
		{"partial states queue", "ppp", []string{"1/1 delivered", "1/2 delivered", "1/3 delivered"}},
		{"full replaces all", "pfpf", []string{"1/1 replaced", "1/2 replaced", "1/3 replaced", "1/4 delivered"}},
		{"partial after full", "fpp", []string{"1/1 delivered", "1/2 delivered", "1/3 delivered"}},
		{"bare replaces bare", "bbb", []string{"1/1 replaced", "1/2 replaced", "1/3 delivered"}},
		{"bare replaces no state", "pbfb", []string{"1/1 replaced", "1/2 replaced", "1/3 delivered", "1/4 delivered"}},
		{"partial replaces no bare", "pbp", []string{"1/1 delivered", "1/2 delivered", "1/3 delivered"}},
		{"bare around partial", "bpbpb", []string{"1/1 replaced", "1/3 replaced", "1/2 delivered", "1/4 delivered", "1/5 delivered"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, roomy)
			for i, kind := range c.keep {
				n := notify(1, uint32(i)+1, kind == 'f') //nolint:gosec // small
				n.Bare = kind == 'b'
				b.keeps(n)
			}
			b.Alive(b.now, "sip:alice@x", "a")
			for b.Len() > 0 {
				a, _, ok := b.Next(b.now)
				if !ok {
					t.Fatal("the next is not due though the device is alive")
				}
				b.done(a, Accepted)
			}
			b.want(c.want...)
		})
	}
}

func TestReplacedWhileInFlight(t *testing.T) {
	for _, c := range []struct {
		o    Outcome
		want string
	}{{Accepted, "delivered"}, {Temporary, "replaced"}, {Silence, "replaced"}} {
		b := newBench(t, roomy)
		b.keeps(notify(1, 1, true))
		a := b.sends(5*time.Second, 1, 1)
		b.keeps(notify(1, 2, false))
		b.keeps(notify(1, 3, true))
		b.want("1/2 replaced")
		b.done(a, c.o)
		b.want("1/1 " + c.want)
		b.Alive(b.now, "sip:alice@x", "")
		b.sendsNow(1, 3)
	}
}

func TestOlderThanWhatIsKept(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 5, false))
	b.keeps(notify(1, 4, false)) // its outcome came later
	b.keeps(notify(1, 4, false)) // a retransmission
	b.Alive(b.now, "sip:alice@x", "")
	b.done(b.sendsNow(1, 4), Accepted)
	b.done(b.sendsNow(1, 5), Accepted)
	b.want("1/4 delivered", "1/5 delivered")
}

func TestFiveHundred(t *testing.T) {
	for _, c := range []struct {
		name                string
		unanswered, refused bool
		outcomes            []Outcome
		want                string
	}{
		{"of a copy", true, false, []Outcome{Failed500}, "1/1 delivered"},
		{"of a copy of a try", false, false, []Outcome{Silence, Failed500}, "1/1 delivered"},
		{"once", false, false, []Outcome{Failed500, Accepted}, "1/1 delivered"},
		{"twice", false, false, []Outcome{Failed500, Failed500}, "1/1 given back"},
		{"again", false, true, []Outcome{Failed500}, "1/1 given back"},
		{"again after others", false, true, []Outcome{Temporary, Failed500}, "1/1 given back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, roomy)
			n := notify(1, 1, true)
			n.Unanswered, n.Refused = c.unanswered, c.refused
			b.keeps(n)
			for _, o := range c.outcomes {
				b.Alive(b.now, "sip:alice@x", "")
				b.done(b.sendsNow(1, 1), o)
			}
			b.want(c.want)
		})
	}
}

// TestFiveHundredOfAnotherSubscription: a 500 to a copy says that the phone has had it, unless
// the phone has a later NOTIFY of another subscription in the same dialog: then it speaks of the
// CSeq alone.
func TestFiveHundredOfAnotherSubscription(t *testing.T) {
	for name, c := range map[string]struct {
		before bool   // the phone had that NOTIFY before this one was kept
		cseq   uint32 // of that; 0: there is none
		want   string
	}{
		"alone":         {false, 0, "1/2 delivered"},
		"earlier":       {false, 1, "1/2 delivered"},
		"later":         {false, 3, "1/2 given back"},
		"later, before": {true, 3, "1/2 given back"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, roomy)
			n := notify(1, 2, true)
			n.Unanswered, n.Overtaken = true, c.before
			b.keeps(n)
			if c.cseq > 0 && !c.before {
				b.Overtake(1, c.cseq)
			}
			for len(b.log) == 0 {
				b.Alive(b.now, "sip:alice@x", "")
				b.done(b.sendsNow(1, 2), Failed500)
			}
			b.want(c.want)
		})
	}
}

func TestFinalAnswerGivesTheDialogBack(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 1, false))
	b.keeps(notify(1, 2, false))
	b.keeps(notify(2, 1, false))
	b.Alive(b.now, "sip:alice@x", "")
	b.done(b.sendsNow(1, 1), Final)
	b.want("1/1 given back", "1/2 given back")
	if b.Holds(1) || !b.Holds(2) {
		t.Error("only dialog 2 goes on")
	}
	b.sendsNow(2, 1)
}

func TestDialogsTakeTurns(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 1, true))
	b.keeps(notify(2, 1, true))
	b.done(b.sends(5*time.Second, 1, 1), Silence)
	b.done(b.sends(10*time.Second, 2, 1), Silence)
	b.sends(20*time.Second, 1, 1)
}

func TestTimeIsOver(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 1, true))
	b.now = b.now.Add(9 * time.Minute)
	b.keeps(notify(1, 2, true)) // newer, but the phone has missed something since the first
	b.keeps(notify(2, 1, true))
	b.want("1/1 replaced")
	b.now = b.now.Add(time.Minute - 1)
	b.end(b.Expire(b.now))
	b.want()
	b.now = b.now.Add(1)
	b.end(b.Expire(b.now))
	b.want("1/2 given back")
	if n, since := b.Waiting("sip:alice@x"); n != 1 || b.now.Sub(since) != time.Minute {
		t.Error(n, since)
	}
}

// TestStoodStill: the time in which the process stood still does not count, for what was kept then.
func TestStoodStill(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 1, false))
	b.keeps(notify(1, 2, false))
	b.now = b.now.Add(time.Hour)
	b.Slept(59 * time.Minute)
	b.end(b.Expire(b.now))
	b.want()
	b.done(b.sendsNow(1, 1), Accepted)
	b.keeps(notify(2, 1, false))
	b.now = b.now.Add(9 * time.Minute)
	b.end(b.Expire(b.now))
	b.want("1/1 delivered", "1/2 given back")
	b.now = b.now.Add(time.Minute)
	b.end(b.Expire(b.now))
	b.want("2/1 given back")
}

func TestTimeBeginsAnewAfterADelivery(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 1, false))
	b.now = b.now.Add(9 * time.Minute)
	b.keeps(notify(1, 2, false))
	b.Alive(b.now, "sip:alice@x", "")
	b.done(b.sendsNow(1, 1), Accepted)
	b.now = b.now.Add(9 * time.Minute)
	b.end(b.Expire(b.now))
	b.want("1/1 delivered")
	b.now = b.now.Add(time.Minute)
	b.end(b.Expire(b.now))
	b.want("1/2 given back")
}

func TestRoom(t *testing.T) {
	names := notify(0, 0, false)
	each := overhead + 100 + len(names.User) + len(names.Device)
	b := newBench(t, Config{For: time.Hour, MaxBytes: 2 * each})
	n := func(dialog uint64, cseq uint32, full bool, size int) Notify {
		n := notify(dialog, cseq, full)
		n.Parcel.Raw = make([]byte, size)
		return n
	}
	b.keeps(n(1, 1, true, 100))
	b.keeps(n(2, 1, true, 100))
	if ok, _ := b.Keep(b.now, n(3, 1, true, 0)); ok {
		t.Error("kept above the bound")
	}
	if ok, _ := b.Keep(b.now, n(1, 2, false, 0)); ok {
		t.Error("kept above the bound, in a dialog that is known")
	}
	b.keeps(n(1, 2, true, 100)) // takes the room of what it replaces
	b.want("1/1 replaced")
	if b.Bytes() != 2*each {
		t.Error(b.Bytes())
	}
	b.end(b.Drop(2, Dropped))
	b.keeps(n(3, 1, true, 100))
	b.want("2/1 dropped")
}

func TestRoomOfADialog(t *testing.T) {
	b := newBench(t, roomy)
	for i := range uint32(maxPerDialog) {
		b.keeps(notify(1, i+1, false))
	}
	if ok, _ := b.Keep(b.now, notify(1, 17, false)); ok {
		t.Error("a seventeenth is kept")
	}
	b.keeps(notify(1, 18, true))
	if b.Len() != 1 {
		t.Error(b.Len())
	}
	moved := notify(1, 19, true)
	moved.Device = "b" // it has another address now
	b.log = nil
	b.keeps(moved)
	b.want("1/18 replaced")
	b.Alive(b.now, moved.User, "a")
	b.sendsNow(1, 19)
}

func TestHad(t *testing.T) {
	b := newBench(t, roomy)
	for cseq := range uint32(4) {
		b.keeps(notify(1, cseq+1, false))
	}
	a := b.sends(5*time.Second, 1, 1)
	b.end(b.Had(b.now, 1, 2)) // answered late, by another way
	b.want("1/1 replaced", "1/2 delivered")
	b.done(a, Final)
	b.want()
	b.sendsNow(1, 3)
	b.end(b.Had(b.now, 1, 7))
	b.want("1/3 replaced", "1/4 replaced")
	b.end(b.Had(b.now, 1, 8))
	b.want()
	b.idle()
}

func TestPostpone(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 1, true))
	b.Alive(b.now, "sip:alice@x", "")
	a := b.sendsNow(1, 1)
	b.Postpone(&a, b.now.Add(time.Minute))
	b.idle()
	b.now = b.now.Add(time.Minute)
	if a = b.sendsNow(1, 1); a.Try != 1 {
		t.Error("what was not sent was no try:", a.Try)
	}
	b.done(a, Accepted)
	b.Postpone(&a, b.now) // it is over
	b.idle()
	b.want("1/1 delivered")
}

func TestDropWhileInFlight(t *testing.T) {
	b := newBench(t, roomy)
	b.keeps(notify(1, 1, true))
	b.keeps(notify(2, 1, true))
	b.Alive(b.now, "sip:alice@x", "")
	a := b.sendsNow(1, 1)
	b.end(b.Drop(1, Dropped))
	b.done(a, Accepted)
	b.end(b.Drop(1, Dropped))
	b.want("1/1 dropped")
	b.sendsNow(2, 1)
}
