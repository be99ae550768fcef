package health

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// told writes down whether the server is said to be up.
type told struct {
	mu   sync.Mutex
	list []bool
}

func (t *told) add(up bool, _ string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, up)
}

func (t *told) all() []bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.list)
}

// TestHealth takes a server through its states: refused, heard of, silent, asked, back.
func TestHealth(t *testing.T) {
	hop := resolve.Hop{Addr: netip.MustParseAddrPort("10.1.0.2:5070"), Transport: wire.UDP}
	synctest.Test(t, func(t *testing.T) {
		var refused, answers atomic.Bool
		refused.Store(true)
		var told told
		h := New(Config{
			Only: func() (resolve.Hop, bool) { return hop, true },
			Ping: func() error {
				if refused.Load() {
					return errors.New("refused")
				}
				return nil
			},
			Probe: func(context.Context) error {
				if answers.Load() {
					return nil
				}
				return errors.New("no answer")
			},
			Changed: told.add,
		})
		ctx, cancel := context.WithCancel(t.Context())
		go h.Run(ctx)
		defer cancel()
		is := func(up, down bool) {
			t.Helper()
			synctest.Wait()
			if got, why := h.State(); got != up || h.Down() != down {
				t.Fatalf("up %t (%s), down %t", got, why, h.Down())
			}
		}
		time.Sleep(2 * time.Second)
		is(false, false) // a start that was not reached is no outage
		refused.Store(false)
		time.Sleep(2 * pingEvery)
		is(true, false)
		other := hop
		other.Transport = wire.TCP
		h.Lost(other, errors.New("no TCP"))
		is(true, false)
		h.Lost(hop, errors.New("refused"))
		is(false, true)
		h.Seen(time.Now())
		is(true, false)
		h.Expects(time.Now())
		time.Sleep(suspicion + probeLimit*healthTick + time.Second)
		is(false, true)
		answers.Store(true)
		time.Sleep(2 * healthTick)
		is(true, false)
		if got := told.all(); !slices.Equal(got, []bool{false, true, false, true}) {
			t.Error(got)
		}
	})
}

// A server that has not come up yet within a start is not told of before it is overdue, and
// one that comes up meanwhile is not told of at all. Requests to it are refused all the same.
// Once it was there, its fall is told at once.
func TestStart(t *testing.T) {
	hop := resolve.Hop{Addr: netip.MustParseAddrPort("10.1.0.2:5070"), Transport: wire.UDP}
	for _, comes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var told told
			var gone atomic.Int32
			var up atomic.Bool
			var h *Health
			h = New(Config{
				Only: func() (resolve.Hop, bool) { return hop, true },
				Ping: func() error {
					if !up.Load() {
						h.Lost(hop, errors.New("refused"))
						return errors.New("refused")
					}
					return nil
				},
				Probe:   func(context.Context) error { return errors.New("no answer") },
				Changed: told.add,
				Gone:    func() { gone.Add(1) },
			})
			ctx, cancel := context.WithCancel(t.Context())
			go h.Run(ctx)
			defer cancel()
			wait := func(d time.Duration, want ...bool) {
				t.Helper()
				time.Sleep(d)
				synctest.Wait()
				if got := told.all(); !slices.Equal(got, want) {
					t.Fatalf("told %t, want %t", got, want)
				}
			}
			wait(grace - 2*time.Second)
			if !h.Down() || gone.Load() != 1 {
				t.Fatalf("down %t, gone %d", h.Down(), gone.Load())
			}
			if comes {
				up.Store(true)
				wait(time.Hour)
				up.Store(false)
				h.Lost(hop, errors.New("refused"))
				wait(0, false)
				return
			}
			wait(4*time.Second, false)
			up.Store(true)
			wait(10*time.Second, false, true)
		})
	}
}
