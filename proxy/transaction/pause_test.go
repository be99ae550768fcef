package transaction

import (
	"testing"
	"time"
)

// TestPause judges no deadline after a pause before what waits has been read, and none is
// put off for ever.
func TestPause(t *testing.T) {
	var p Pause
	waits := false
	at := Moment(1)
	asks := func(later time.Duration) bool {
		at = at.Add(later)
		return p.Over(at, func() bool { return waits })
	}
	for range 10 {
		waits = true // as it always does under load
		if !asks(Tick) {
			t.Fatal("the process runs")
		}
	}
	if asks(10 * time.Second) {
		t.Fatal("nothing was read yet")
	}
	for range 10 {
		if asks(Tick) {
			t.Fatal("something waits still")
		}
	}
	waits = false
	for range 2 {
		if !asks(Tick) {
			t.Fatal("all was read")
		}
	}
	if asks(time.Second) {
		t.Fatal("the readers of connections have not had their turn")
	}
	if asks(readersTurn/2) || !asks(readersTurn/2) {
		t.Fatal("they have had it")
	}
	judged := false
	for range 20 { // a machine that is always late
		judged = judged || asks(time.Second)
	}
	if !judged {
		t.Error("no deadline is judged any more")
	}
	p.Rested(at.Add(time.Hour))
	if !asks(time.Hour + Tick) {
		t.Error("there was nothing to judge meanwhile")
	}
}
