package recovery_test

import (
	"fmt"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/policy"
)

// Outages that do not begin and end as the book has it.

// expectOutages checks that every alarm was of an outage, and was cleared.
func (w *town) expectOutages(n int) {
	w.t.Helper()
	want := ""
	for range n {
		want += "[raise core-outage 10.0.0.1:5060 critical][clear core-outage 10.0.0.1:5060]"
	}
	if got := w.said(); got != want {
		w.t.Errorf("alarms %s, want %d times an outage", got, n)
	}
}

// expectInnocent checks that nobody is broken, has a strike or was signed out.
func (w *town) expectInnocent() {
	w.t.Helper()
	if n := w.broken(); n != 0 {
		w.t.Errorf("%d watchers are broken still", n)
	}
	if n := w.gone(); n != 0 {
		w.t.Errorf("%d users were signed out", n)
	}
	w.expectNoStrikes()
}

// The loss grows for a minute before everything is lost. Those who failed long
// before it passed the ratio are innocent as well.
func TestOutageThatBeginsSlowly(t *testing.T) {
	inTown(t, townConfig(), 2000, 1, func(w *town) {
		w.run(200)
		at := 20 * time.Second
		for share := 0.1; share < 1; share += 0.1 {
			w.at(at)
			w.change(func() { w.lossy[w.hops[0]] = share * share * share }) // a NOTIFY is sent several times
			at += 6 * time.Second
		}
		w.at(at)
		w.silence(0, true)
		w.at(at + time.Minute)
		w.change(func() { clear(w.lossy) })
		w.silence(0, false)
		w.at(at + time.Minute + 2000/200*time.Second + 10*time.Second)
		w.expectOutages(1)
		w.expectInnocent()
	})
}

// The server tells nothing any more while the core is out: OPTIONS alone show that
// it is back.
func TestOutageInWhichTheServerFallsSilent(t *testing.T) {
	inTown(t, townConfig(), 1000, 1, func(w *town) {
		w.run(500)
		w.at(10 * time.Second)
		w.silence(0, true)
		w.at(45 * time.Second)
		w.pause(true)
		w.at(5 * time.Minute)
		w.silence(0, false)
		w.at(5*time.Minute + 1000/200*time.Second + 10*time.Second)
		w.expectOutages(1)
		w.expectInnocent()
		if n := w.sent(); n != 1000 {
			t.Errorf("%d MESSAGEs", n)
		}
	})
}

// With a threshold of 1 everybody who was ever told has a full count.
func TestOutageWithAThresholdOfOne(t *testing.T) {
	cfg := townConfig()
	cfg.Rules.Threshold = 1
	inTown(t, cfg, 500, 1, func(w *town) {
		w.run(100)
		w.at(10 * time.Second)
		w.silence(0, true)
		w.at(70 * time.Second)
		w.silence(0, false)
		w.at(90 * time.Second)
		w.expectOutages(1)
		w.expectInnocent()
		for _, p := range w.phones { // now they have
			w.Offer(p.aor, policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("eve", "x")})
		}
		w.at(2 * time.Minute)
		for _, p := range w.phones {
			w.Offer(p.aor, policy.Event{Kind: policy.Subscribed, At: time.Now(), Sub: broken("eve", "y")})
			w.Offer(p.aor, policy.Event{Kind: policy.NotifyOK, At: time.Now(), Sub: broken("eve", "y")})
		}
		w.silence(0, true)
		w.at(3 * time.Minute)
		w.silence(0, false)
		w.at(4 * time.Minute)
		w.expectOutages(2)
		if w.gone() != 0 || w.broken() != 0 {
			t.Errorf("%d users were signed out, %d are broken", w.gone(), w.broken())
		}
		for _, s := range w.States() {
			if s.Sent > 1 || s.Phase != policy.Idle {
				t.Fatalf("%s is left with %+v", s.AOR, s.State)
			}
		}
	})
}

// The core returns for two seconds and is gone again.
func TestOutageThatSeemsOver(t *testing.T) {
	inTown(t, townConfig(), 2000, 1, func(w *town) {
		w.run(500)
		w.at(10 * time.Second)
		w.silence(0, true)
		w.at(70 * time.Second)
		w.silence(0, false)
		for w.sent() == 0 { // it takes OPTIONS to be noticed
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		w.silence(0, true)
		w.at(3 * time.Minute)
		w.silence(0, false)
		w.at(5 * time.Minute)
		w.expectOutages(2)
		w.expectInnocent()
	})
}

// A core that answers 503 to everything is no better than a silent one.
func TestCoreThatAnswers503(t *testing.T) {
	inTown(t, townConfig(), crowd, 1, func(w *town) {
		w.run(500)
		w.at(20 * time.Second)
		w.change(func() { w.refuse[w.hops[0]] = 503 })
		w.at(26 * time.Second)
		if got := w.said(); got != "[raise core-outage 10.0.0.1:5060 critical]" {
			t.Errorf("alarms %s", got)
		}
		held := w.sent()
		w.at(80 * time.Second)
		if n := w.sent(); n != held {
			t.Errorf("%d MESSAGEs in the hold", n-held)
		}
		w.change(func() { clear(w.refuse) })
		w.at(80*time.Second + crowd/200*time.Second + 10*time.Second)
		w.expectOutages(1)
		w.expectInnocent()
	})
}

// Nobody with a full count is given up while it takes its time to be noticed.
func TestCoreThatAnswers503ToThoseWithAFullCount(t *testing.T) {
	cfg := townConfig()
	cfg.Rules.Threshold = 1
	inTown(t, cfg, 2000, 1, func(w *town) {
		for _, p := range w.phones {
			w.Offer(p.aor, policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("eve", "x")})
			w.subscribeElse(p)
		}
		w.at(15 * time.Second)
		w.run(500)
		w.at(30 * time.Second)
		w.change(func() { w.refuse[w.hops[0]] = 503 })
		w.at(2 * time.Minute)
		w.change(func() { clear(w.refuse) })
		w.at(3 * time.Minute)
		w.expectOutages(1)
		if w.gone() != 0 || w.broken() != 0 {
			t.Errorf("%d users were signed out, %d are broken", w.gone(), w.broken())
		}
	})
}

// A core that hung corrects its timers when it goes on, and answers 408 to what is
// under way (Kamailio does so within five seconds). That is no strike.
func TestCoreThatStumbles(t *testing.T) {
	inTown(t, townConfig(), 1000, 1, func(w *town) {
		w.run(500)
		w.at(10 * time.Second)
		w.silence(0, true)
		w.at(70 * time.Second)
		w.silence(0, false)
		w.at(76 * time.Second)
		w.change(func() { w.refuse[w.hops[0]] = 408 })
		w.at(76200 * time.Millisecond)
		w.change(func() { clear(w.refuse) })
		w.at(90 * time.Second)
		w.expectOutages(1)
		w.expectInnocent()
		if n := w.count("rewatch_notify_failures_total", "408"); n == 0 {
			t.Error("the core did not stumble")
		}
	})
}

// A core that was restarted knows nobody. Who has registered again gets their turn
// before those who have not; where they take their time, each is told when they have.
func TestCoreThatHasForgottenItsUsers(t *testing.T) {
	for name, c := range map[string]struct{ apart, until time.Duration }{
		"at once": {4 * time.Millisecond, 90 * time.Second},
		"slowly":  {20 * time.Millisecond, 115 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, townConfig(), 2000, 1, func(w *town) {
				w.run(500)
				w.at(10 * time.Second)
				w.silence(0, true)
				w.at(70 * time.Second)
				w.change(func() {
					for _, p := range w.phones {
						p.away = true
					}
				})
				w.silence(0, false)
				go func() {
					for _, p := range w.phones {
						w.register(p)
						time.Sleep(c.apart)
					}
				}()
				w.at(c.until)
				w.expectOutages(1)
				w.expectInnocent()
				if n := w.sent(); name == "at once" && n > 2000 {
					t.Errorf("%d MESSAGEs", n)
				}
			})
		})
	}
}

// Nine dead phones with a hundred subscriptions each do not hold the others up: somebody
// else gets through.
func TestFewDeadPhonesWithManySubscriptions(t *testing.T) {
	inTown(t, townConfig(), 20, 1, func(w *town) {
		w.run(1)
		w.at(time.Minute)
		for _, p := range w.phones[:9] {
			w.change(func() { p.dead = true })
			for i := range 100 {
				sub := policy.Broken{Event: "presence", Resource: fmt.Sprintf("sip:friend-%d@ims.example", i), CallID: fmt.Sprint("call-", i), Cause: "408 Request Timeout", Contact: p.aor + ";x"}
				w.Failed(dialogs.Failure{
					AOR: p.aor, Hop: p.hop, Sent: time.Now().Add(-deadline), Silent: true,
					Event: policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: sub},
				})
			}
		}
		w.at(15 * time.Minute)
		if got := w.sent(); got != 27 || w.gone() != 9 {
			t.Errorf("%d MESSAGEs, %d de-REGISTERs", got, w.gone())
		}
	})
}
