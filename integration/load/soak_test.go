package load

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A request over UDP that nobody answers is sent eleven times and given up after 32 s
// (RFC 3261 17.1.2.2).
func TestTimerE(t *testing.T) {
	var e timerE
	var at []time.Duration
	e.add(0, 1, 0)
	var end time.Duration
	for now := time.Duration(0); end == 0; now += 10 * time.Millisecond {
		for stage := range waits {
			if _, ok := e.expired(stage, now); !ok {
				continue
			}
			if stage == len(waits)-1 {
				end = now
				break
			}
			at = append(at, now)
			e.add(stage+1, 1, now)
		}
	}
	if end != 32*time.Second || len(at) != 10 || at[0] != 500*time.Millisecond || at[9] != 31500*time.Millisecond {
		t.Errorf("sent again at %v, given up at %v", at, end)
	}
}

// Of many datagrams each share is lost and doubled.
func TestAir(t *testing.T) {
	a := air{rnd: rand.New(rand.NewPCG(1, 1)), share: 0.05} //nolint:gosec // chance
	var of [3]int
	for range 100000 {
		of[a.copies()]++
	}
	for _, n := range []int{of[0], of[2]} {
		if n < 4700 || n > 5300 {
			t.Errorf("of 100,000 datagrams %d did not come and %d came twice", of[0], of[2])
		}
	}
}

// A phone of the town registers, subscribes, loses its subscription and comes back upon a
// MESSAGE, once for each.
func TestTown(t *testing.T) {
	town := newTown(1, rand.New(rand.NewPCG(1, 1))) //nolint:gosec // chance
	next := func(want Kind) (dialog uint32) {
		t.Helper()
		k, dialog := town.first(0)
		if k != want || len(town.queue) != 0 {
			t.Fatalf("%s is first, %d after it", k, len(town.queue))
		}
		return dialog
	}
	town.registered(int(next(Register)), 0)
	first := next(Subscribe)
	town.subscribed(first, 0)
	if d, _, ok := town.next(); !ok || d != first || town.without() != 0 {
		t.Error("the server has something to tell")
	}
	if _, _, ok := town.next(); ok {
		t.Error("there is a NOTIFY on its way")
	}
	town.ended(first)
	if town.told(0, 7, 0); len(town.queue) != 1 || town.needless() != 1 {
		t.Error("a MESSAGE for nothing, and the phone takes it at its word")
	}
	town.broke(first, time.Second)
	for range 2 {
		if town.told(0, 9, time.Second); town.needless() != 0 || len(town.queue) != 1 {
			t.Errorf("%d wait", len(town.queue))
		}
	}
	second := next(Subscribe)
	town.restarted()
	town.subscribed(second, 0)
	if d := next(Subscribe); second == first || d == second || town.without() != 1 {
		t.Errorf("dialogs %d, %d, %d", first, second, d)
	}
}
