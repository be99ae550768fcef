package monitor

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"rewatch/dialogs/store"
)

// TestTunnel: in any order of failures, signs of life, NOTIFYs, refreshes, time and ends of
// every kind the phones see CSeqs rise, but for the copy that a core sends of what a phone
// has had, after which the newest state comes at once; there is no gap between partial
// states; the server keeps each subscription that its phone has, unless it was given up,
// which the recovery knows; and when the phones are back, they have the newest state
// within the pause of one attempt, and within seconds of a sign of life. After the end of a
// subscription nothing comes, and nobody is told. What a process that ends has kept is
// given up by the next one.
func TestTunnel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := frame{
			strict: rapid.Bool().Draw(rt, "strict"), stateful: rapid.Bool().Draw(rt, "stateful"),
			room:  rapid.SampledFrom([]int{1 << 20, 1 << 20, 1 << 20, 3000}).Draw(rt, "room"),
			lasts: rapid.SampledFrom([]time.Duration{time.Hour, time.Hour, 2 * time.Minute}).Draw(rt, "lasts"),
		}
		list := rapid.SliceOfN(happenings(rapid.SampledFrom([][]string{gentle, rough}).Draw(rt, "kind")), 1, 30).Draw(rt, "happenings")
		sign := rapid.SampledFrom([]string{"refresh", "REGISTER", "", "the process ends"}).Draw(rt, "sign")
		if fault := inTunnel(t, r, func(w *tunnel) { w.pass(list, sign) }); fault != "" {
			rt.Fatal(fault)
		}
	})
}

// pass has things happen, and then the phones come back.
func (w *tunnel) pass(list []happening, sign string) {
	for n := range 3 {
		w.open(w.phones[n/2], [...]string{"sip:bob@ims.test", "sip:carol@ims.test", "sip:bob@ims.test"}[n])
	}
	queued := map[*line]int{}
	for _, h := range list {
		l := w.current(h.line)
		if h.what == "partial" || h.what == "refresh" {
			if queued[l]++; queued[l] > 14 && !w.scarce { // no more than can be kept
				h.what = "full"
			}
		}
		if h.what == "full" {
			queued[l] = 0
		}
		w.happen(h)
	}
	if sign == "the process ends" {
		w.restarts()
		return
	}
	for _, on := range w.phones {
		w.network(on, false, false, 0, -1)
	}
	wait := 150 * time.Second // the longest pause, and an attempt under way
	switch sign {
	case "refresh":
		for n := range 3 {
			w.refresh(w.current(n), 3600)
		}
	case "REGISTER":
		w.registers(3600)
	}
	if sign != "" && !w.scarce { // where there is no room, what is open stays so
		wait = 8 * time.Second
	}
	<-time.After(wait)
	synctest.Wait()
	w.settled()
	w.mu.Lock()
	defer w.mu.Unlock()
	if wait > time.Minute && w.post.Some() {
		w.fails("something is kept still")
	}
}

// restarts is the next process, which has the store, and not the NOTIFYs.
func (w *tunnel) restarts() {
	synctest.Wait()
	w.stores()
	w.mu.Lock()
	some, stale := w.post.Some(), map[string]bool{}
	for _, l := range w.lines {
		if l.over == "" && !l.forgot && !l.lost && !l.told && !l.vague && w.newer(l) == nil && l.last < l.okTo {
			stale[l.id] = true
		}
	}
	w.mu.Unlock()
	next := newWard()
	source := next.Source()
	disk := map[string]store.Entry{}
	for _, e := range slices.Concat(w.stored...) {
		disk[fmt.Sprint(e.Kind, e.Key)] = e
	}
	for _, e := range disk {
		source.Restore(e, time.Now())
	}
	next.giveUpLost(time.Now(), nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range next.failures {
		if l := w.line(name); l.over != "" || !some {
			w.fails("the next process gives %s up (%s)", name, l.over)
		}
		delete(stale, name)
	}
	for name := range stale {
		w.fails("%s is stale, and the next process does not know", name)
	}
}

// TestSignOfLifeWhileOpen: a phone that is back has the newest of several states within two
// seconds of its sign of life, although the first is still under way and its next
// retransmission is seconds away, be that the server's (the core has no state) or the core's.
func TestSignOfLifeWhileOpen(t *testing.T) {
	for _, c := range []struct {
		sign             string
		stateful, strict bool
		age              time.Duration
	}{
		{"REGISTER", false, false, 300 * time.Millisecond},
		{"REGISTER", true, false, 300 * time.Millisecond},
		{"REGISTER", true, false, 501 * time.Millisecond},
		{"REGISTER", true, false, 900 * time.Millisecond},
		{"REGISTER", true, true, 1100 * time.Millisecond},
		{"REGISTER", false, false, 4 * time.Second},
		{"REGISTER", false, true, 20 * time.Second},
		{"REGISTER", true, false, 4 * time.Second},
		{"REGISTER", true, true, 4 * time.Second},
		{"REGISTER", true, false, 12 * time.Second},
		{"refresh", true, false, 8 * time.Second},
		{"refresh", true, true, 8 * time.Second},
		{"refresh", false, false, 8 * time.Second},
		{"REGISTER", true, false, 28100 * time.Millisecond},
		{"REGISTER", true, false, 30 * time.Second}, // kept by then, and an attempt is due
		{"REGISTER", true, false, 40 * time.Second}, // an attempt is under way
		{"REGISTER", true, true, 40 * time.Second},
	} {
		for states := 1; states <= 3; states++ {
			t.Run(fmt.Sprintf("%d states, %s after %s, stateful %t, strict %t", states, c.sign, c.age, c.stateful, c.strict), func(t *testing.T) {
				fault := inTunnel(t, frame{c.strict, c.stateful, 1 << 20, time.Hour}, func(w *tunnel) {
					l := w.open(w.phones[0], callA.resource)
					w.notifies(l, true, false)
					<-time.After(time.Second)
					w.network(l.on, true, false, 0, -1)
					for range states {
						w.notifies(l, true, false)
					}
					<-time.After(c.age)
					w.network(l.on, false, false, 0, -1)
					for w.happen(happening{what: c.sign}); time.Since(w.began) < c.age+3*time.Second; <-time.After(10 * time.Millisecond) {
						w.checkStale()
					}
					w.settled()
					for range 500 {
						<-time.After(10 * time.Millisecond)
						w.checkStale()
					}
					w.settled()
				})
				if fault != "" {
					t.Error(fault)
				}
			})
		}
	}
}
