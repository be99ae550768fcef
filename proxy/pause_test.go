package proxy

import (
	"testing"
	"time"

	"rewatch/proxy/transaction"
)

// TestPause judges no deadline after a pause before what waits has been read, and none is
// put off for ever.
func TestPause(t *testing.T) {
	var p pause
	waits := false
	at := transaction.Moment(1)
	asks := func(later time.Duration) bool {
		at = at.Add(later)
		return p.over(at, func() bool { return waits })
	}
	for range 10 {
		waits = true // as it always does under load
		if !asks(transaction.Tick) {
			t.Fatal("the process runs")
		}
	}
	if asks(10 * time.Second) {
		t.Fatal("nothing was read yet")
	}
	for range 10 {
		if asks(transaction.Tick) {
			t.Fatal("something waits still")
		}
	}
	waits = false
	for range 2 {
		if !asks(transaction.Tick) {
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
	p.rested(at.Add(time.Hour))
	if !asks(time.Hour + transaction.Tick) {
		t.Error("there was nothing to judge meanwhile")
	}
}
