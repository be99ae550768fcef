package monitor

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestTunnel: in any order of failures, signs of life, NOTIFYs, refreshes and time the
// phone sees CSeqs rise and no gap between partial states, the server keeps the
// subscription and nobody gets a MESSAGE; and when the phone is back, it has the newest
// state within the pause of one attempt, and within seconds of a sign of life.
func TestTunnel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		strict, stateful := rapid.Bool().Draw(rt, "strict"), rapid.Bool().Draw(rt, "stateful")
		list := rapid.SliceOfN(happenings, 1, 30).Draw(rt, "happenings")
		sign := rapid.SampledFrom([]string{"refresh", "REGISTER", ""}).Draw(rt, "sign")
		if fault := throughTunnel(t, func() *tunnel { return newTunnel(strict, stateful) }, list, sign); fault != "" {
			rt.Fatal(fault)
		}
	})
}

func throughTunnel(t *testing.T, make func() *tunnel, list []happening, sign string) (fault string) {
	t.Helper()
	t.Run("", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := make()
			ctx, cancel := context.WithCancel(t.Context())
			w.work.Go(func() { w.post.Run(ctx) })
			w.ward.subscribe(callA, 1, 3600, 200)
			w.subscribe = 1
			queued := 0
			for _, h := range list {
				if queued++; queued > 14 && h.what != "full" { // no more than can be kept
					h.what = "full"
				}
				if h.what == "full" {
					queued = 0
				}
				w.happen(h)
			}
			w.network(false, false, 0)
			wait := 150 * time.Second // the longest pause, and an attempt under way
			switch sign {
			case "refresh":
				w.refresh()
				wait = 6 * time.Second
			case "REGISTER":
				w.registers()
				wait = 6 * time.Second
			}
			<-time.After(wait)
			synctest.Wait()
			w.mu.Lock()
			if w.last != w.cseq {
				w.fails("the phone has %d, the server %d (accepted %v)", w.last, w.cseq, w.accepted)
			}
			if w.post.Some() {
				w.fails("something is kept still")
			}
			if !slices.IsSorted(w.accepted) {
				w.fails("out of order: %v", w.accepted)
			}
			fault = w.fault
			w.mu.Unlock()
			cancel()
			<-time.After(time.Minute)
			w.work.Wait()
		})
	})
	return fault
}

// TestSignOfLifeWhileOpen: a phone that is back has the newest state within two seconds of
// its sign of life, although the NOTIFY is still under way and its next retransmission is
// seconds away, be that the server's (the core has no state) or the core's.
func TestSignOfLifeWhileOpen(t *testing.T) {
	for _, c := range []struct {
		sign             string
		stateful, strict bool
		age              time.Duration
	}{
		{"REGISTER", false, false, 300 * time.Millisecond},
		{"REGISTER", false, false, 4 * time.Second},
		{"REGISTER", false, true, 20 * time.Second},
		{"REGISTER", true, false, 4 * time.Second},
		{"REGISTER", true, true, 4 * time.Second},
		{"REGISTER", true, false, 12 * time.Second},
		{"refresh", true, false, 8 * time.Second},
		{"refresh", false, false, 8 * time.Second},
		{"REGISTER", true, false, 30 * time.Second}, // kept by then, and an attempt is due
		{"REGISTER", true, false, 40 * time.Second}, // an attempt is under way
		{"REGISTER", true, true, 40 * time.Second},
	} {
		t.Run(fmt.Sprintf("%s after %s, stateful %t, strict %t", c.sign, c.age, c.stateful, c.strict), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTunnel(c.strict, c.stateful)
				ctx, cancel := context.WithCancel(t.Context())
				w.work.Go(func() { w.post.Run(ctx) })
				w.ward.subscribe(callA, 1, 3600, 200)
				w.subscribe = 1
				w.notifies(true)
				<-time.After(time.Second)
				w.network(true, false, 0)
				w.notifies(true)
				<-time.After(c.age)
				w.network(false, false, 0)
				w.happen(happening{what: c.sign, wait: 2 * time.Second})
				w.mu.Lock()
				if w.last < 2 {
					w.fails("the phone has %d two seconds after its sign of life", w.last)
				}
				w.mu.Unlock()
				<-time.After(5 * time.Second)
				synctest.Wait()
				w.mu.Lock()
				if w.last != w.cseq || w.fault != "" {
					t.Errorf("the phone has %d, the server %d; %s", w.last, w.cseq, w.fault)
				}
				w.mu.Unlock()
				cancel()
				<-time.After(time.Minute)
				w.work.Wait()
			})
		})
	}
}
