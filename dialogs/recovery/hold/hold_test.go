package hold

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

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/store"
	"rewatch/policy"
	"rewatch/policy/alarm"
	"rewatch/policy/outage"
)

var (
	core = netip.MustParseAddrPort("192.0.2.1:5060")
	away = netip.MustParseAddrPort("192.0.2.2:5060")
)

// scene is a Hold, the users behind it and whoever is alarmed.
type scene struct {
	*Hold
	t *testing.T

	mu      sync.Mutex
	diary   []string
	waiting map[string]int
	answers bool // the core answers OPTIONS
	probed  int
	dryRun  bool
}

func (s *scene) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.diary = append(s.diary, fmt.Sprintf(format, args...))
}

func (s *scene) HoldBegan(r outage.Record, doubted []string) {
	s.note("began %s, %s, doubted %v", r.Hop, r.Reason, doubted)
}
func (s *scene) HoldEnded(hop string)         { s.note("ended %s", hop) }
func (s *scene) HandEnded()                   { s.note("hand ended") }
func (s *scene) Judged(proven, held []string) { s.note("proven %v, held %v", proven, held) }
func (s *scene) Lost() int64                  { return 0 }

// bells are the alarms of a scene.
type bells struct {
	dialogs.Alarms
	s *scene
}

func (b bells) Raise(a alarm.Alarm)                    { b.s.note("raise %s of %s", a.Name, a.Object) }
func (b bells) Clear(name, object string, _ time.Time) { b.s.note("clear %s of %s", name, object) }

func (s *scene) Waiting() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

func (s *scene) probe(context.Context, netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probed++
	return s.answers
}

// expect compares what has happened since the last time.
func (s *scene) expect(want ...string) {
	s.t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.diary, want) {
		s.t.Errorf("happened:\n\t%s\nwant:\n\t%s", strings.Join(s.diary, "\n\t"), strings.Join(want, "\n\t"))
	}
	s.diary = nil
}

func (s *scene) answer(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = yes
}

// fails lets a NOTIFY to a user fail in silence, and gives the verdict.
func (s *scene) fails(user string, hop netip.AddrPort) outage.Verdict {
	now := time.Now()
	return s.Failed(&dialogs.Failure{
		AOR: user, Event: policy.Event{Kind: policy.NotifyFailed, At: now}, Hop: hop, Sent: now.Add(-28 * time.Second), Silent: true,
	}, Name(hop))
}

func (s *scene) passes(user string, hop netip.AddrPort) {
	var got outage.Passes
	got.Add(time.Now(), dialogs.UserID(user))
	s.Passed(time.Now(), hop, Name(hop), got)
}

func stage(t *testing.T, test func(*scene), restored ...store.Entry) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t}
		s.Hold = New(Config{
			Shared: func(hop netip.AddrPort) bool { return hop == core }, Probe: s.probe,
		}, s, bells{s: s}, func(string) bool { return s.dryRun }, zerolog.Nop())
		for _, e := range restored {
			if !s.Restore(e, time.Now()) {
				t.Errorf("not restored: %+v", e)
			}
		}
		s.Start(t.Context())
		test(s)
		s.Stop()
	})
}

// One user fails and nobody else was tried: the hop is asked. Its answer proves the path, its
// silence holds it until something gets through.
func TestAsked(t *testing.T) {
	stage(t, func(s *scene) {
		s.answer(true)
		if v := s.fails("al", core); v != outage.Ask {
			t.Fatal(v)
		}
		s.expect("proven [al], held []")
		if s.Any() || s.Held(Name(core)) {
			t.Error("it is held")
		}

		time.Sleep(time.Hour)
		s.answer(false)
		s.fails("al", core)
		s.expect("proven [], held [al]", "raise core-outage of 192.0.2.1:5060", "began 192.0.2.1:5060, no-answer, doubted []")
		if !s.Held(Name(core)) || s.GoAhead(Name(core)) || s.MayBlame(time.Now(), Name(core), "bo", time.Time{}) {
			t.Error("it is not held")
		}
		if since, held := s.Began(Name(core)); !held || since.After(time.Now()) {
			t.Errorf("since %s, %v", since, held)
		}
		if s.Held(Name(away)) {
			t.Error("another hop is held as well")
		}
		s.mu.Lock()
		s.waiting = map[string]int{Name(core): 7}
		s.mu.Unlock()
		if holds := s.Holds(); len(holds) != 1 || holds[0].Hop != Name(core) || holds[0].Waiting != 7 || holds[0].ByHand {
			t.Errorf("%+v", holds)
		}
		s.answer(true)
		time.Sleep(5 * time.Second) // it is asked again
		if !s.GoAhead(Name(core)) || !s.Held(Name(core)) {
			t.Error("an answer does not let a few go ahead")
		}
		<-s.Released()
		s.Through(Name(core), "al")
		s.expect("clear core-outage of 192.0.2.1:5060", "ended 192.0.2.1:5060")
		<-s.Released()
		if s.Any() || s.Holds() != nil {
			t.Error("it is held still")
		}
	})
}

// Two fail and nobody gets through: it is the path, without asking. A neighbour that is heard
// by another port is the same hop.
func TestSilence(t *testing.T) {
	stage(t, func(s *scene) {
		s.passes("al", core)
		time.Sleep(time.Minute)
		s.answer(false)
		s.fails("al", core)
		if v := s.fails("bo", core); v != outage.Outage {
			t.Error(v)
		}
		s.expect("raise core-outage of 192.0.2.1:5060", "began 192.0.2.1:5060, silence, doubted [al]")
		var got outage.Passes
		got.Add(time.Now(), dialogs.UserID("carol"))
		s.Heard(time.Now(), netip.AddrPortFrom(core.Addr(), 49152), got)
		s.expect("clear core-outage of 192.0.2.1:5060", "ended 192.0.2.1:5060")
	})
}

// Somebody else who gets through since proves the path, and no hop is asked.
func TestProven(t *testing.T) {
	stage(t, func(s *scene) {
		s.passes("bo", core)
		if v := s.fails("al", core); v != outage.Proven || !s.MayBlame(time.Now(), Name(core), "al", time.Time{}) {
			t.Error(v)
		}
		if !s.Prove(s.t.Context(), outage.Try{Hop: Name(core), User: dialogs.UserID("al"), Sent: time.Now().Add(-time.Second), At: time.Now(), Final: true}) {
			t.Error("an own request of the same time is not proven")
		}
		time.Sleep(time.Hour)
		s.answer(true)
		if !s.Prove(s.t.Context(), outage.Try{Hop: Name(core), User: dialogs.UserID("al"), Sent: time.Now().Add(-time.Second), At: time.Now(), Final: true}) {
			t.Error("the answer of the hop proves nothing")
		}
		s.expect("proven [], held []") // nobody waited for it
	})
}

// An operator holds everybody, whatever gets through, and over a restart.
func TestByHand(t *testing.T) {
	var kept []store.Entry
	stage(t, func(s *scene) {
		s.ByHand("maintenance")
		s.ByHand("more of it")
		s.passes("bo", core)
		if !s.Held(Name(away)) || s.GoAhead(Name(core)) || s.fails("al", core) != outage.Outage {
			t.Error("somebody is not held")
		}
		if holds := s.Holds(); len(holds) != 1 || !holds[0].ByHand || holds[0].Reason != "more of it" {
			t.Errorf("%+v", holds)
		}
		if s.Unwritten() != 1 {
			t.Errorf("%d are noted", s.Unwritten())
		}
		kept = s.Collect(nil)
		s.expect("raise held-by-hand of rewatch", "raise held-by-hand of rewatch")
	})
	stage(t, func(s *scene) {
		s.expect("raise held-by-hand of rewatch")
		<-s.Released()
		if !s.Held(Name(core)) || !s.EndByHand() || s.EndByHand() || s.Held(Name(core)) {
			t.Error("the hold of before is another")
		}
		<-s.Released()
		s.expect("clear held-by-hand of rewatch", "hand ended")
		if e := s.Collect(nil); len(e) != 1 || len(e[0].Value) != 0 {
			t.Errorf("%+v is kept", e)
		}
	}, kept...)
}

// The hold of a hop outlives a restart too, and ends when the operator says so.
func TestEndHop(t *testing.T) {
	var kept []store.Entry
	stage(t, func(s *scene) {
		s.fails("al", core)
		s.fails("bo", core)
		synctest.Wait()
		kept = s.Collect(nil)
		s.RaiseAgain()
	})
	stage(t, func(s *scene) {
		s.expect("raise core-outage of 192.0.2.1:5060")
		if s.EndHop(Name(away)) || s.EndHop("nonsense") || s.EndHop(overall) || !s.EndHop("192.0.2.1:5060") || s.EndHop("192.0.2.1:5060") {
			t.Error("not exactly the one that is held")
		}
		s.expect("clear core-outage of 192.0.2.1:5060", "ended 192.0.2.1:5060")
		if e := s.Collect(nil); len(e) != 1 || e[0].Key != "192.0.2.1:5060" || len(e[0].Value) != 0 {
			t.Errorf("%+v is kept", e)
		}
	}, kept...)
	h := New(Config{}, nil, nil, nil, zerolog.Nop())
	for name, e := range map[string]store.Entry{
		"nonsense": {Key: "192.0.2.1:5060", Value: []byte("{")}, "of another hop": {Key: "192.0.2.9:5060", Value: kept[0].Value},
		"by hand, nonsense": {Key: handKey, Value: []byte("{")}, "by hand, of no time": {Key: handKey, Value: []byte("{}")},
	} {
		if h.Restore(e, time.Now()) {
			t.Errorf("restored: %s", name)
		}
	}
}

// In a dry run no hop is asked, so a failure that has no other proof counts: it does no harm.
func TestDryRun(t *testing.T) {
	stage(t, func(s *scene) {
		s.dryRun = true
		s.answer(true)
		s.fails("al", core)
		s.expect("proven [al], held []")
		if s.Any() || s.probed != 0 {
			t.Errorf("held %v, asked %d times", s.Any(), s.probed)
		}
	})
}

// The text of the alarm says what happened, to how many.
func TestText(t *testing.T) {
	for _, c := range []struct {
		r    outage.Record
		want string
	}{
		{outage.Record{Hop: "h", Watchers: 1, Reason: outage.ReasonNoAnswer}, "NOTIFYs to 1 watcher failed over the next hop h, which does not answer OPTIONS;"},
		{outage.Record{Watchers: 9, Reason: outage.ReasonRatio}, "NOTIFYs to 9 watchers failed over all next hops, and too few others get through;"},
		{outage.Record{Hop: "h", Watchers: 2, Reason: outage.ReasonUnreachable}, "NOTIFYs to 2 watchers failed over the next hop h, which cannot be reached;"},
	} {
		if got := outageText(c.r); !strings.HasPrefix(got, c.want) {
			t.Error(got)
		}
	}
}

// What is known of hosts is bounded.
func TestHosts(t *testing.T) {
	var s hosts
	for i := range 2 * maxHosts {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5060)
		s.saw(a, a.String())
	}
	if len(s) != maxHosts || s.hop(netip.MustParseAddrPort("10.0.0.7:40000"), "other") != "10.0.0.7:5060" || s.hop(netip.MustParseAddrPort("10.0.7.255:1"), "other") != "other" {
		t.Errorf("%d hosts", len(s))
	}
}

// TestUnsent: a NOTIFY that was never sent is of the hop that its user's requests come from,
// by whatever port, and casts no vote.
func TestUnsent(t *testing.T) {
	stage(t, func(s *scene) {
		s.passes("bo", core)
		from := netip.AddrPortFrom(core.Addr(), 40000)
		if got := s.HopOf(from); got != Name(core) {
			t.Errorf("%v is behind %q", from, got)
		}
		time.Sleep(time.Hour)
		for i := range 200 {
			now := time.Now()
			s.Failed(&dialogs.Failure{
				AOR: fmt.Sprint("al", i), Event: policy.Event{Kind: policy.NotifyFailed, At: now}, Hop: from, Sent: now.Add(-28 * time.Second), Silent: true, Unsent: true,
			}, s.HopOf(from))
		}
		if s.Any() {
			t.Error("held")
		}
	})
}
