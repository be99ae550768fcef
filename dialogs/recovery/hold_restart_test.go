package recovery_test

import (
	"maps"
	"strings"
	"testing"
	"time"
)

// restart ends rewatch and starts it again after a pause.
func (w *town) restart(pause time.Duration) {
	w.t.Helper()
	w.shut()
	time.Sleep(pause)
	w.open()
}

// An outage goes on over a restart, with its alarm and its watchers; the next one
// after its end.
func TestHoldOutlivesRestart(t *testing.T) {
	inTown(t, townConfig(), 1000, 1, func(w *town) {
		p := w.strickenOnTheWay()
		w.at(time.Minute)
		lost := w.gauge("rewatch_outage_watchers")
		if lost < 900 {
			t.Errorf("%v watchers wait for the end of the outage", lost)
		}
		w.restart(10 * time.Second)
		if got := w.gauge("rewatch_outage_watchers"); got < lost || w.gauge("rewatch_outage") != 1 {
			t.Errorf("%v watchers wait for the end of the outage, %v did before the restart", got, lost)
		}
		w.at(3 * time.Minute)
		if n := w.sent(); n > 1 {
			t.Errorf("%d MESSAGEs in the outage", n)
		}
		w.silence(0, false)
		w.change(func() { p.dead = false })
		w.at(3*time.Minute + 1*time.Second)
		w.restart(time.Second) // perhaps in the middle of working off
		w.at(3*time.Minute + 25*time.Second)
		w.restart(time.Second)
		w.at(10 * time.Minute)
		if n := w.broken(); n > 1 {
			t.Errorf("%d watchers are broken still", n)
		}
		w.mu.Lock()
		told := maps.Clone(w.told)
		w.mu.Unlock()
		for aor, n := range told {
			if n > 1 && aor != p.aor {
				t.Errorf("%s got %d MESSAGEs", aor, n)
			}
		}
		if w.gone() != 0 {
			t.Errorf("%d users were signed out", w.gone())
		}
		said := w.said()
		raise, clear := "[raise core-outage 10.0.0.1:5060 critical]", "[clear core-outage 10.0.0.1:5060]"
		if !strings.HasPrefix(said, raise+raise) || strings.Count(said, clear) != 1 || !strings.HasSuffix(said, clear) {
			t.Errorf("alarms %s", said)
		}
	})
}

// Those who wait for their turn when rewatch ends get it after the next start.
func TestWorkingOffOutlivesRestart(t *testing.T) {
	cfg := townConfig()
	cfg.MessageRate = 20
	inTown(t, cfg, 1000, 1, func(w *town) {
		w.run(500)
		w.at(10 * time.Second)
		w.silence(0, true)
		w.at(time.Minute)
		w.silence(0, false)
		for at := 70 * time.Second; at < 100*time.Second; at += 7 * time.Second {
			w.at(at)
			w.restart(100 * time.Millisecond)
		}
		w.at(130 * time.Second)
		if n := w.broken(); n != 0 {
			t.Errorf("%d watchers are broken still", n)
		}
		w.mu.Lock()
		told := maps.Clone(w.told)
		w.mu.Unlock()
		for aor, n := range told {
			if n > 1 {
				t.Errorf("%s got %d MESSAGEs", aor, n)
			}
		}
		w.expectNoStrikes()
	})
}

// Who flaps is known as one after a restart, and held down no longer for it.
func TestFlappingOutlivesRestart(t *testing.T) {
	cfg := townConfig()
	cfg.Rules.Threshold, cfg.HoldDown = 1, 10*time.Minute
	inTown(t, cfg, 5, 1, func(w *town) {
		p := w.phones[2]
		w.change(func() { p.dead = true })
		fail := func() { w.fails(p) }
		fail()
		w.at(2 * time.Minute)
		w.expectSignOuts(1)
		w.restart(time.Second)
		w.register(p)
		fail()
		w.at(4 * time.Minute) // given up again
		w.restart(time.Second)
		w.at(10 * time.Minute)
		w.expectSignOuts(1)
		w.restart(time.Second)
		w.at(14 * time.Minute)
		w.expectSignOuts(2)
	})
}

// The cap of an hour is one over restarts.
func TestCapOutlivesRestart(t *testing.T) {
	cfg := townConfig()
	cfg.Rules.Threshold, cfg.DeregisterCap = 1, 4
	inTown(t, cfg, 10, 1, func(w *town) {
		for i, p := range w.phones[:6] {
			w.change(func() { p.dead = true })
			w.register(p) // for an hour
			w.fails(p)
			w.at(time.Duration(i+1) * 2 * time.Minute)
			w.restart(time.Second)
		}
		w.expectSignOuts(4)
		w.at(50 * time.Minute)
		w.expectSignOuts(4)
		w.at(66 * time.Minute)
		w.expectSignOuts(6)
	})
}

func (w *town) expectSignOuts(want int) {
	w.t.Helper()
	if got := w.gone(); got != want {
		w.t.Errorf("%d users are signed out after %s, want %d", got, time.Since(w.began), want)
	}
}

// gauge is the value of a metric without labels.
func (w *town) gauge(name string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Error(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	w.t.Errorf("no metric %s", name)
	return 0
}
