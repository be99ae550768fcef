package resolve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// deaf answers some names and is silent about all others, as a name server is that an
// attacker has.
type deaf struct{ *zone }

func (d deaf) Exchange(ctx context.Context, name string, typ dnsmessage.Type) ([]Record, error) {
	records, err := d.zone.Exchange(ctx, name, typ)
	if err == nil {
		return records, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestInventionsKeepNobodyWaiting: one asker has twenty names a second looked up that get
// no answer. Names of our own, names that are known and those of others take no longer for
// it, and what they are refused does them alone harm.
func TestInventionsKeepNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{records: map[string][]Record{}}
		for i := range 100 {
			z.records[fmt.Sprint("A good", i)] = []Record{addr("192.0.2.1", time.Second)}
			z.records[fmt.Sprint("AAAA good", i)] = []Record{addr("2001:db8::1", time.Second)}
		}
		r := New(Config{Exchange: deaf{z}, MaxFills: 16})
		var refused atomic.Int32
		stop := make(chan struct{})
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
					r.Await(Target{Host: fmt.Sprint("invented", i), Port: 1}, 666, func(_ []Hop, err error) {
						if errors.Is(err, ErrBusy) {
							refused.Add(1)
						}
					})
				}
			}
		}()
		time.Sleep(20 * time.Second)
		for i := range 100 {
			start := time.Now()
			done := make(chan error, 1)
			r.Await(Target{Host: fmt.Sprint("good", i), Port: 1}, uint64(i), func(_ []Hop, err error) { done <- err })
			if err := <-done; err != nil || time.Since(start) > 0 {
				t.Fatalf("asker %d: %v after %v", i, err, time.Since(start))
			}
			time.Sleep(300 * time.Millisecond)
		}
		close(stop)
		synctest.Wait()
		if refused.Load() == 0 {
			t.Error("what is too much is not refused")
		}
		if err := r.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if q := &r.queue; q.running != 0 || q.strangers != 0 || q.waiting != 0 || len(q.askers) != 0 || len(q.turn) != 0 {
			t.Errorf("left in the queue: %+v", q)
		}
	})
}

// TestQueue: whatever comes in whatever order, no bound is passed, nothing is lost, and
// nobody has a second turn before all who may have had theirs.
func TestQueue(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
	q := queue{most: 16, askers: map[uint64]*asker{}}
	added, given := 0, 0
	var open []job
	for range 20000 {
		if rng.IntN(3) > 0 {
			if q.add(job{asker: uint64(rng.IntN(12))}) {
				added++
			}
		}
		for j, ok := q.next(); ok; j, ok = q.next() {
			given++
			open = append(open, j)
		}
		each := map[uint64]int{}
		for _, j := range open {
			each[j.asker]++
		}
		for who, n := range each {
			if who != 0 && n > 2 {
				t.Fatalf("%d names of one asker", n)
			}
		}
		if len(open) > 16 || len(open)-each[0] > 12 || q.waiting > maxQueued {
			t.Fatalf("%d at a time, %d of our own, %d wait", len(open), each[0], q.waiting)
		}
		if len(open) > 0 && rng.IntN(2) == 0 {
			i := rng.IntN(len(open))
			q.done(open[i])
			open = append(open[:i], open[i+1:]...)
		}
	}
	for len(open) > 0 {
		q.done(open[0])
		open = open[1:]
		for j, ok := q.next(); ok; j, ok = q.next() {
			given++
			open = append(open, j)
		}
	}
	if given != added || q.running != 0 || len(q.askers) != 0 {
		t.Errorf("%d came, %d were given; %d askers are left", added, given, len(q.askers))
	}
}

// TestInVain: what a stranger asks for again and again in vain is asked less and less often;
// of our own names it is not.
func TestInVain(t *testing.T) {
	for asker, most := range map[uint64]int{7: 14, 0: 123} {
		synctest.Test(t, func(t *testing.T) {
			z := &zone{}
			r := New(Config{Exchange: z})
			for range 600 {
				r.Await(Target{Host: "nowhere", Port: 1}, asker, func([]Hop, error) {})
				time.Sleep(time.Second)
			}
			if n := z.count() / 2; n > most || n < most-6 { // A and AAAA
				t.Errorf("asker %d: asked %d times in ten minutes", asker, n)
			}
		})
	}
}
