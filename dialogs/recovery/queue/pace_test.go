package queue

import (
	"testing"
	"testing/synctest"
	"time"
)

// turns takes n turns of a pace in a row and returns how long they took.
func turns(t *testing.T, p *pace, n int) time.Duration {
	t.Helper()
	began := time.Now()
	for range n {
		if !p.wait(t.Context()) {
			t.Fatal("no turn")
		}
	}
	return time.Since(began)
}

// What a stall cost is made up for while others wait, but neither at once nor for ever.
func TestPaceMakesUpForAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(100)
		turns(t, p, 1)
		if took := turns(t, p, 100); took != time.Second {
			t.Errorf("100 turns took %s", took)
		}
		time.Sleep(500 * time.Millisecond) // 400 ms of it are made up for, bit by bit
		if took := turns(t, p, 10); took != 0 {
			t.Errorf("what is hardly late took %s", took)
		}
		if took := turns(t, p, 100); took < 930*time.Millisecond || took > 960*time.Millisecond {
			t.Errorf("100 turns after a stall took %s", took)
		}
		turns(t, p, 700)
		if took := turns(t, p, 100); took != time.Second {
			t.Errorf("100 turns took %s when nothing was to be made up for any more", took)
		}
		time.Sleep(time.Hour)
		p.idle() // nobody waited
		turns(t, p, 1)
		if took := turns(t, p, 100); took != time.Second {
			t.Errorf("100 turns after an idle hour took %s", took)
		}
	})
}

// However long the stall was, what is made up for is bounded.
func TestPaceForgetsALongStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(100)
		time.Sleep(time.Hour)
		turns(t, p, 21_000) // 10s at a twentieth sooner each
		if took := turns(t, p, 100); took != time.Second {
			t.Errorf("100 turns took %s long after the stall", took)
		}
	})
}
