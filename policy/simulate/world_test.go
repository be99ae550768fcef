package simulate

import (
	"math"
	"testing"
	"time"
)

func TestTimerE(t *testing.T) {
	n := newNetwork(Trouble{})
	want := []moment{0, 5, 15, 35, 75, 115, 155, 195, 235, 275, 315}
	if len(n.tries) != len(want) {
		t.Fatal(n.tries)
	}
	for i := range want {
		if n.tries[i] != want[i] {
			t.Fatal(n.tries)
		}
	}
}

func TestARequestOutlivesAShortSilence(t *testing.T) {
	n := newNetwork(Trouble{Start: time.Minute, Outage: time.Minute})
	for _, c := range []struct {
		sent  time.Duration
		first time.Duration // 0: never
	}{
		{30 * time.Second, 30 * time.Second},
		{70 * time.Second, 0},
		{100 * time.Second, 123500 * time.Millisecond},
		{119 * time.Second, 120500 * time.Millisecond},
		{120 * time.Second, 120 * time.Second},
	} {
		got, ok := n.firstUp(1, steps(c.sent), 28*time.Second)
		if ok != (c.first > 0) || ok && got != steps(c.first) {
			t.Errorf("sent at %s: passes at %d, %v", c.sent, got, ok)
		}
		same, ok2 := n.delivery(newDice(1), route{hop: 1}, steps(c.sent), 28*time.Second)
		if same != got || ok2 != ok {
			t.Errorf("sent at %s: delivery and firstUp differ", c.sent)
		}
	}
}

func TestTheFirstHopFlaps(t *testing.T) {
	n := newNetwork(Trouble{FlapFor: 10 * time.Minute, FlapDown: 45 * time.Second, FlapUp: 15 * time.Second})
	for at, up := range map[time.Duration]bool{
		0: false, 44 * time.Second: false, 45 * time.Second: true, 61 * time.Second: false, 11 * time.Minute: true,
	} {
		if n.up(0, steps(at)) != up || !n.up(1, steps(at)) {
			t.Errorf("at %s", at)
		}
	}
}

func TestChance(t *testing.T) {
	d := newDice(7)
	for _, mean := range []float64{0, 0.3, 12, 500} {
		sum := 0
		for range 20_000 {
			sum += d.poisson(mean)
		}
		if got := float64(sum) / 20_000; math.Abs(got-mean) > 0.03*mean+0.001 {
			t.Errorf("poisson(%v) has the mean %v", mean, got)
		}
	}
	n := newNetwork(Trouble{Loss: 0.5})
	lost := 0
	for range 20_000 {
		if _, ok := n.delivery(d, route{}, 0, 28*time.Second); !ok {
			lost++
		}
	}
	if got, want := float64(lost)/20_000, n.allLost(0, 28*time.Second); math.Abs(got-want) > 0.01 {
		t.Errorf("%v lost, not %v", got, want)
	}
}

func TestTheCrowd(t *testing.T) {
	cfg := World()
	cfg.Watchers, cfg.Replicas = 100_000, 3
	c := newCrowd(cfg)
	if m := c.mean(); math.Abs(m-3) > 0.1 {
		t.Errorf("%v subscriptions each", m)
	}
	d := newDice(1)
	for range 1000 {
		who, sub, ok := c.pick(d, 5, 2)
		if !ok || c.hop(who) != 5 || c.replica(who) != 2 || int(sub) >= c.subscriptions(who) {
			t.Fatalf("picked %d, %d, %v", who, sub, ok)
		}
	}
	cfg.Watchers = 3
	if _, _, ok := newCrowd(cfg).pick(d, 5, 2); ok {
		t.Error("nobody is there to be picked")
	}
	cfg.Clients.Subscriptions = 1
	if newCrowd(cfg).subscriptions(1) != 1 {
		t.Error("one each")
	}
}
