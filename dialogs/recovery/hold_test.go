package recovery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/policy"
)

// The whole core is silent for a minute, under 500 NOTIFY/s.
func TestOutage(t *testing.T) {
	inTown(t, townConfig(), crowd, 1, func(w *town) {
		w.run(500)
		w.at(30 * time.Second)
		w.silence(0, true)
		w.at(59 * time.Second)
		if got := w.said(); got != "[raise core-outage 10.0.0.1:5060 critical]" {
			t.Errorf("alarms %s", got)
		}
		w.at(90 * time.Second)
		if n := w.broken(); n != crowd {
			t.Errorf("%d watchers are broken", n)
		}
		w.silence(0, false)
		w.at(90*time.Second + crowd/200*time.Second + 10*time.Second)
		if n := w.broken(); n != 0 {
			t.Errorf("%d watchers are broken still", n)
		}
		w.expectNoStrikes()
		if n := w.between(&w.messages, 0, 90*time.Second); n != 0 {
			t.Errorf("%d MESSAGEs in the outage", n)
		}
		if n := w.sent(); n != crowd {
			t.Errorf("%d MESSAGEs", n)
		}
		for from := 90 * time.Second; from < 105*time.Second+crowd/200*time.Second; from += time.Second {
			if n := w.between(&w.messages, from, from+time.Second); n > 205 {
				t.Errorf("%d MESSAGEs in one second", n)
			}
		}
		if got := w.said(); got != "[raise core-outage 10.0.0.1:5060 critical][clear core-outage 10.0.0.1:5060]" {
			t.Errorf("alarms %s", got)
		}
		if w.gone() != 0 {
			t.Errorf("%d users were signed out", w.gone())
		}
	})
}

// A user with a full count is not given up as long as an outage may have begun.
func TestOutageOfThoseWithAFullCount(t *testing.T) {
	cfg := townConfig()
	cfg.DeregisterRate = 0.5
	inTown(t, cfg, 100, 1, func(w *town) {
		for _, p := range w.phones {
			for range 3 {
				w.Offer(p.aor, policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("eve", "x")})
				time.Sleep(time.Second)
				w.Offer(p.aor, policy.Event{Kind: policy.Subscribed, At: time.Now(), Sub: broken("eve", "y")})
				w.Offer(p.aor, policy.Event{Kind: policy.NotifyOK, At: time.Now(), Sub: broken("eve", "y")})
			}
		}
		synctest.Wait()
		w.run(10) // slow, so that many fail before it is noticed
		w.silence(0, true)
		start := time.Since(w.began)
		w.at(start + 2*time.Minute)
		w.silence(0, false)
		w.at(start + 3*time.Minute)
		if w.gone() != 0 || w.broken() != 0 {
			t.Errorf("%d users were signed out, %d are broken", w.gone(), w.broken())
		}
		if got := w.said(); got != "[raise core-outage 10.0.0.1:5060 critical][clear core-outage 10.0.0.1:5060]" {
			t.Errorf("alarms %s", got)
		}
		for _, s := range w.States() {
			if s.Sent != 3 || s.Phase != policy.Idle {
				t.Fatalf("%s is left with %+v", s.AOR, s.State)
			}
		}
	})
}

// One hop of four is silent; the others' watchers are treated as ever.
func TestOneHopOfSeveral(t *testing.T) {
	inTown(t, townConfig(), 2000, 4, func(w *town) {
		w.run(500)
		w.at(30 * time.Second)
		w.silence(2, true)
		w.change(func() { w.phones[0].dead = true })
		w.at(3 * time.Minute)
		if got := w.said(); got != "[raise core-outage 10.0.0.3:5060 critical]" {
			t.Errorf("alarms %s", got)
		}
		if n := w.broken(); n != 501 {
			t.Errorf("%d watchers are broken", n)
		}
		if n := w.toldOf(w.phones[0].aor); n != 2 && n != 3 {
			t.Errorf("the dead phone got %d MESSAGEs", n)
		}
		w.silence(2, false)
		w.at(3*time.Minute + 15*time.Second)
		if n := w.broken(); n != 1 {
			t.Errorf("%d watchers are broken", n)
		}
		if n := w.gone(); n != 0 {
			t.Errorf("%d users were signed out", n)
		}
	})
}

// One dead phone among many healthy ones is told three times and signed out.
func TestDeadPhone(t *testing.T) {
	inTown(t, townConfig(), crowd, 1, func(w *town) {
		w.run(100)
		w.change(func() { w.phones[7].dead = true })
		w.at(8 * time.Minute)
		if w.toldOf(w.phones[7].aor) != 3 || w.sent() != 3 || w.gone() != 1 || !w.phones[7].gone {
			t.Errorf("%d MESSAGEs, %d de-REGISTERs", w.sent(), w.gone())
		}
		if got := w.said(); got != "[raise watcher-exhausted sip:user-7@ims.example minor]" {
			t.Errorf("alarms %s", got)
		}
	})
}

// A hop that comes and goes is held nearly all the time, and blames nobody.
func TestFlappingHop(t *testing.T) {
	inTown(t, townConfig(), 1000, 1, func(w *town) {
		w.run(100)
		at := 30 * time.Second
		for range 10 {
			w.at(at)
			w.silence(0, true)
			w.at(at + 45*time.Second)
			w.silence(0, false)
			at += time.Minute
		}
		w.at(at + 6*time.Minute)
		if n := w.broken(); n != 0 {
			t.Errorf("%d watchers are broken still", n)
		}
		w.expectNoStrikes()
		if w.gone() != 0 {
			t.Errorf("%d users were signed out", w.gone())
		}
	})
}

// Who subscribes again before their turn comes gets no MESSAGE.
func TestBackByHimself(t *testing.T) {
	inTown(t, townConfig(), 1000, 1, func(w *town) {
		w.run(500)
		w.at(10 * time.Second)
		w.silence(0, true)
		w.at(60 * time.Second)
		w.change(func() { w.deaf[w.hops[0]] = true }) // so that their NOTIFYs are the first sign of life
		w.silence(0, false)
		for _, p := range w.phones[:300] {
			w.subscribe(p)
		}
		w.at(80 * time.Second)
		for _, p := range w.phones[:300] {
			if n := w.toldOf(p.aor); n != 0 {
				t.Errorf("%s got %d MESSAGEs", p.aor, n)
			}
		}
		if n := w.broken(); n != 0 || w.sent() != 700 {
			t.Errorf("%d watchers are broken still; %d MESSAGEs", n, w.sent())
		}
		w.expectNoStrikes()
	})
}

// A core that hung works off its queues when it goes on: the phones answer NOTIFYs
// that were given up long since. That helps nobody whom the server has forgotten.
func TestStaleAnswers(t *testing.T) {
	inTown(t, townConfig(), 1000, 1, func(w *town) {
		w.run(500)
		w.at(10 * time.Second)
		w.silence(0, true)
		w.at(70 * time.Second)
		w.silence(0, false)
		w.workOffQueue()
		w.at(80 * time.Second)
		if n := w.broken(); n != 0 {
			t.Errorf("%d watchers are broken still", n)
		}
		w.expectNoStrikes()
	})
}

// Clients who take no notice of a MESSAGE are not signed out for an outage.
func TestOutageAndDeafClients(t *testing.T) {
	inTown(t, townConfig(), 200, 1, func(w *town) {
		for _, p := range w.phones {
			p.ignores = true
		}
		w.run(100)
		w.silence(0, true)
		w.at(time.Minute)
		w.silence(0, false)
		w.at(20 * time.Minute)
		if w.gone() != 0 || w.sent() != 600 {
			t.Errorf("%d MESSAGEs, %d de-REGISTERs", w.sent(), w.gone())
		}
		w.expectNoStrikes()
	})
}

// strickenOnTheWay gives a phone of whom a recovery is under way when an outage begins, a
// moment before that is noticed.
func (w *town) strickenOnTheWay() *phone {
	w.t.Helper()
	p := w.phones[3]
	p.ignores = true
	w.run(500)
	w.at(10 * time.Second)
	w.change(func() { p.dead = true })
	w.at(11 * time.Second)
	w.silence(0, true) // noticed at 39s
	w.at(38800 * time.Millisecond)
	w.expect(p, policy.Notifying, 1)
	return p
}

// A recovery that was under way is interrupted: no Tick while held, the whole wait
// after it.
func TestHoldInterruptsARecovery(t *testing.T) {
	inTown(t, townConfig(), 1000, 1, func(w *town) {
		p := w.strickenOnTheWay()
		w.at(38900 * time.Millisecond)
		w.change(func() { p.dead = false })
		w.at(3 * time.Minute)
		if n := w.toldOf(p.aor); n > 1 {
			t.Errorf("%d MESSAGEs in the hold", n)
		}
		w.silence(0, false)
		w.at(3*time.Minute + 20*time.Second)
		if w.gone() != 0 {
			t.Error("signed out")
		}
		w.at(10 * time.Minute)
		if n := w.toldOf(p.aor); n < 2 {
			t.Errorf("%d MESSAGEs after the hold: it did not go on", n)
		}
	})
}

func (w *town) expect(p *phone, phase policy.Phase, sent int) {
	w.t.Helper()
	if s, _ := w.State(p.aor); s.Phase != phase || s.Sent != sent {
		w.t.Errorf("%s is %s with %d MESSAGEs sent, want %s with %d", p.aor, s.Phase, s.Sent, phase, sent)
	}
}

// unreachable lets the NOTIFY of a phone fail at once.
func (w *town) unreachable(p *phone) {
	w.mu.Lock()
	p.cseq++
	m := w.message(p)
	m.Side, m.CSeq, m.State = dialogs.Server, p.cseq, dialogstest.State("active;expires=3600")
	m.FromURI, m.FromTag, m.ToURI, m.ToTag = []byte("sip:bob@ims.example"), []byte("s"), []byte(p.aor), []byte("w")
	w.mu.Unlock()
	ref, _ := w.monitor.Notify(m)
	w.done(p, p.dialog, ref, dialogs.Outcome{CSeq: p.cseq, Hop: p.hop, Kind: dialogs.Unreachable, RetryAfter: -1})
	synctest.Wait()
}

// The core cannot be reached: held at once. A phone that is a hop by itself is not.
func TestUnreachableHop(t *testing.T) {
	inTown(t, townConfig(), 20, 20, func(w *town) {
		w.at(time.Second)
		w.unreachable(w.phones[5]) // nobody else is behind it
		if got := w.said(); got != "" {
			t.Errorf("alarms %s", got)
		}
		w.expect(w.phones[5], policy.Gathering, 0)
		w.silence(0, true)
		w.unreachable(w.phones[0])
		if got := w.said(); got != "[raise core-outage 10.0.0.1:5060 critical]" {
			t.Errorf("alarms %s", got)
		}
		w.silence(0, false)
		w.at(10 * time.Second)
		if n := w.toldOf(w.phones[0].aor); n != 1 || w.broken() != 0 {
			t.Errorf("%d MESSAGEs, %d broken", n, w.broken())
		}
		w.expect(w.phones[5], policy.Idle, 1)
		if _, known := w.State(w.phones[0].aor); known {
			t.Error("the one behind the core has a strike")
		}
	})
}

// An S-CSCF that REWATCH_CORE does not name is found out by its watchers.
func TestUnreachableHopOfMany(t *testing.T) {
	inTown(t, townConfig(), 40, 2, func(w *town) {
		w.at(time.Second)
		w.silence(1, true)
		for i := range 10 {
			w.unreachable(w.phones[2*i+1])
		}
		w.at(6 * time.Second) // it answers no OPTIONS
		if got := w.said(); got != "[raise core-outage 10.0.0.2:5060 critical]" {
			t.Errorf("alarms %s", got)
		}
		w.at(time.Minute)
		w.silence(1, false)
		w.at(75 * time.Second)
		if n := w.broken(); n != 0 || w.sent() != 10 {
			t.Errorf("%d MESSAGEs, %d broken", w.sent(), n)
		}
		w.expectNoStrikes()
	})
}
