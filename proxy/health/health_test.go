package health

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// TestHealth takes a server through its states: refused, heard of, silent, asked, back.
func TestHealth(t *testing.T) {
	hop := resolve.Hop{Addr: netip.MustParseAddrPort("10.1.0.2:5070"), Transport: wire.UDP}
	synctest.Test(t, func(t *testing.T) {
		refused, answers := true, false
		var told []bool
		h := New(Config{
			Only: func() (resolve.Hop, bool) { return hop, true },
			Ping: func() error {
				if refused {
					return errors.New("refused")
				}
				return nil
			},
			Probe: func(context.Context) error {
				if answers {
					return nil
				}
				return errors.New("no answer")
			},
			Changed: func(up bool, _ string) { told = append(told, up) },
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
		refused = false
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
		answers = true
		time.Sleep(2 * healthTick)
		is(true, false)
		if len(told) != 4 || told[0] || !told[1] || told[2] || !told[3] {
			t.Error(told)
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
			var told []bool
			gone, up := 0, false
			var h *Health
			h = New(Config{
				Only: func() (resolve.Hop, bool) { return hop, true },
				Ping: func() error {
					if !up {
						h.Lost(hop, errors.New("refused"))
						return errors.New("refused")
					}
					return nil
				},
				Probe:   func(context.Context) error { return errors.New("no answer") },
				Changed: func(up bool, _ string) { told = append(told, up) },
				Gone:    func() { gone++ },
			})
			ctx, cancel := context.WithCancel(t.Context())
			go h.Run(ctx)
			defer cancel()
			wait := func(d time.Duration, want ...bool) {
				t.Helper()
				time.Sleep(d)
				synctest.Wait()
				if !slices.Equal(told, want) {
					t.Fatalf("told %t, want %t", told, want)
				}
			}
			wait(grace - 2*time.Second)
			if !h.Down() || gone != 1 {
				t.Fatalf("down %t, gone %d", h.Down(), gone)
			}
			if comes {
				up = true
				wait(time.Hour)
				up = false
				h.Lost(hop, errors.New("refused"))
				wait(0, false)
				return
			}
			wait(4*time.Second, false)
			up = true
			wait(10*time.Second, false, true)
		})
	}
}
