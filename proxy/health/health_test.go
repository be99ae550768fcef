package health

import (
	"context"
	"errors"
	"fmt"
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
			Hops: func() []resolve.Hop { return []resolve.Hop{hop} },
			Ping: func([]resolve.Hop) error {
				if refused.Load() {
					return errors.New("refused")
				}
				return nil
			},
			Probe: func(context.Context, resolve.Hop) error {
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
				Hops: func() []resolve.Hop { return []resolve.Hop{hop} },
				Ping: func([]resolve.Hop) error {
					if !up.Load() {
						h.Lost(hop, errors.New("refused"))
						return errors.New("refused")
					}
					return nil
				},
				Probe:   func(context.Context, resolve.Hop) error { return errors.New("no answer") },
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

// fakeServer is a server with some hops, of which some ways are refused or lead nowhere.
type fakeServer struct {
	hops []resolve.Hop
	h    *Health
	told told

	mu      sync.Mutex
	refused []string // "udp 10.1.0.2:5070"
	hole    []string // a connection there takes four seconds to fail
	pinged  []string
	answers []string // to OPTIONS
	silent  []string // what Silent was told
}

func (s *fakeServer) set(refused, hole []string) (pinged []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused, s.hole = refused, hole
	return s.pinged
}

func wayName(h resolve.Hop) string { return h.Transport.String() + " " + h.Addr.String() }

func (s *fakeServer) ping(hops []resolve.Hop) error {
	if len(hops) == 0 {
		return errors.New("being resolved")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range hops {
		s.pinged = append(s.pinged, wayName(h))
		switch {
		case slices.Contains(s.refused, wayName(h)):
			s.h.Lost(h, errors.New("refused"))
		case slices.Contains(s.hole, wayName(h)):
			time.AfterFunc(4*time.Second, func() { s.h.Lost(h, errors.New("no answer")) })
		}
	}
	return nil
}

func (s *fakeServer) stands(h resolve.Hop) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.Contains(s.refused, wayName(h)) && !slices.Contains(s.hole, wayName(h))
}

func (s *fakeServer) isSilent(h resolve.Hop, otherwise bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = append(s.silent, fmt.Sprint(wayName(h), " ", otherwise))
}

// probe answers at once, or never.
func (s *fakeServer) probe(ctx context.Context, way resolve.Hop) error {
	s.mu.Lock()
	ok := slices.Contains(s.answers, wayName(way)) && !way.Either
	s.mu.Unlock()
	if ok {
		return nil
	}
	<-ctx.Done()
	return errors.New("no answer")
}

func (s *fakeServer) run(t *testing.T) {
	t.Helper()
	s.h = New(Config{
		Hops: func() []resolve.Hop { return s.hops }, Ping: s.ping, Stands: s.stands,
		Probe: s.probe, Changed: s.told.add,
		Silent: s.isSilent,
	})
	s.h.Seen(time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	go s.h.Run(ctx)
	t.Cleanup(cancel)
	time.Sleep(pingEvery + time.Second)
}

// TestEveryWay: a server is down once every way to it is refused: each address by each
// transport that may be used there. What is left is tried at once, and a server whose ways
// are all refused is down as soon as that is known. TCP is not tried without need.
func TestEveryWay(t *testing.T) {
	const udp, tcp, other = "udp 10.1.0.2:5070", "tcp 10.1.0.2:5070", "udp 10.1.0.3:5070"
	at := func(addr string, over wire.Transport, either bool) resolve.Hop {
		return resolve.Hop{Addr: netip.MustParseAddrPort(addr), Transport: over, Either: either}
	}
	either, named := at("10.1.0.2:5070", wire.UDP, true), at("10.1.0.2:5070", wire.UDP, false)
	stream, second := at("10.1.0.2:5070", wire.TCP, false), at("10.1.0.3:5070", wire.UDP, false)
	for _, c := range []struct {
		name          string
		hops          []resolve.Hop
		refused, hole []string
		lost          resolve.Hop // the first that traffic finds
		down          time.Duration
	}{
		{"UDP alone is refused", []resolve.Hop{either}, []string{udp}, nil, either, -1},
		{"both are", []resolve.Hop{either}, []string{udp, tcp}, nil, either, 0},
		{"TCP is refused, to a large request", []resolve.Hop{either}, []string{tcp}, nil, stream, -1},
		{"UDP is named", []resolve.Hop{named}, []string{udp}, nil, named, 0},
		{"TCP is named", []resolve.Hop{stream}, []string{tcp}, nil, stream, 0},
		{"UDP is named, TCP refused", []resolve.Hop{named}, []string{tcp}, nil, stream, -1},
		{"UDP is refused, TCP silent", []resolve.Hop{either}, []string{udp}, []string{tcp}, either, 4 * time.Second},
		{"one of two addresses", []resolve.Hop{named, second}, []string{udp}, nil, named, -1},
		{"both addresses", []resolve.Hop{named, second}, []string{udp, other}, nil, named, 0},
		{"no address is known", nil, nil, nil, either, -1},
		{"another server", []resolve.Hop{named}, nil, nil, second, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := fakeServer{hops: c.hops}
				s.run(t)
				if pinged := s.set(c.refused, c.hole); slices.Contains(pinged, tcp) != slices.Contains(c.hops, stream) {
					t.Errorf("pinged %q", pinged)
				}
				s.h.Lost(c.lost, errors.New("refused"))
				synctest.Wait()
				if s.h.Down() != (c.down == 0) {
					t.Fatalf("down at once: %t", s.h.Down())
				}
				if c.down > 0 {
					time.Sleep(c.down + time.Second)
				}
				for range 120 { // and it stays so: no alarm comes and goes
					time.Sleep(time.Second)
					if s.h.Down() != (c.down >= 0) {
						t.Fatalf("down: %t, told %t", s.h.Down(), s.told.all())
					}
				}
				if got := s.told.all(); len(got) > 1 {
					t.Errorf("told %t", got)
				}
				s.set(nil, nil)
				time.Sleep(5 * time.Second)
				if s.h.Down() {
					t.Error("it is back, and still down")
				}
			})
		})
	}
}

// TestRefusalsApart: refusals of different times do not add up, nor do those before the server
// was heard of last.
func TestRefusalsApart(t *testing.T) {
	hops := []resolve.Hop{
		{Addr: netip.MustParseAddrPort("10.1.0.2:5070"), Transport: wire.UDP}, {Addr: netip.MustParseAddrPort("10.1.0.3:5070"), Transport: wire.UDP},
	}
	for _, seen := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := fakeServer{hops: hops}
			s.run(t)
			s.h.Lost(hops[0], errors.New("refused"))
			if seen {
				time.Sleep(time.Second)
				s.h.Seen(time.Now())
				time.Sleep(time.Second)
			} else {
				time.Sleep(refusalHolds + time.Second)
			}
			s.h.Lost(hops[1], errors.New("refused"))
			if s.h.Down() {
				t.Errorf("seen %t: down", seen)
			}
		})
	}
}

// TestSilentWays: a server that leaves requests unanswered is down only if no way to it brings an
// answer to OPTIONS. A hop that is silent while another way is open is told of, and again before
// that is forgotten, until it answers.
func TestSilentWays(t *testing.T) {
	const udp, tcp, other = "udp 10.1.0.2:5070", "tcp 10.1.0.2:5070", "udp 10.1.0.3:5070"
	at := func(addr string, either bool) resolve.Hop {
		return resolve.Hop{Addr: netip.MustParseAddrPort(addr), Transport: wire.UDP, Either: either}
	}
	either, named, second := at("10.1.0.2:5070", true), at("10.1.0.2:5070", false), at("10.1.0.3:5070", false)
	for _, c := range []struct {
		name    string
		hops    []resolve.Hop
		answers []string
		down    bool
		silent  []string
	}{
		{"all are", []resolve.Hop{either, second}, nil, true, nil},
		{"none is", []resolve.Hop{either, second}, []string{udp, tcp, other}, false, nil},
		{"UDP is", []resolve.Hop{either}, []string{tcp}, false, []string{udp + " true"}},
		{"UDP is, which is named", []resolve.Hop{named}, []string{tcp}, true, nil},
		{"TCP is, which is not used", []resolve.Hop{either}, []string{udp}, false, nil},
		{"the first address is", []resolve.Hop{named, second}, []string{other}, false, []string{udp + " false"}},
		{"UDP and the second address are", []resolve.Hop{either, second}, []string{tcp}, false, []string{udp + " true", other + " false"}},
		{"no address is known", nil, nil, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := fakeServer{hops: c.hops, answers: c.answers}
				s.run(t)
				now := func(down bool, silent []string) {
					t.Helper()
					synctest.Wait()
					s.mu.Lock()
					defer s.mu.Unlock()
					if s.h.Down() != down || !slices.Equal(s.silent, silent) {
						t.Fatalf("down %t, want %t; told of %q, want %q", s.h.Down(), down, s.silent, silent)
					}
				}
				s.h.Expects(time.Now())
				time.Sleep(suspicion + probeLimit*(probeTimeout+healthTick))
				now(c.down, c.silent)
				time.Sleep(againAfter + probeTimeout)
				now(c.down, append(c.silent, c.silent...))
				s.mu.Lock()
				s.answers, s.silent = []string{udp, other}, nil
				s.mu.Unlock()
				time.Sleep(2 * (againAfter + probeTimeout))
				now(len(c.hops) == 0, nil)
			})
		})
	}
}

// TestUnansweredInARow: OPTIONS without an answer count only if the server was not heard of since.
func TestUnansweredInARow(t *testing.T) {
	for _, seen := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := fakeServer{hops: []resolve.Hop{{Addr: netip.MustParseAddrPort("10.1.0.2:5070"), Transport: wire.UDP}}}
			s.run(t)
			for range probeLimit {
				s.h.Expects(time.Now())
				time.Sleep(suspicion + probeTimeout + healthTick/2)
				if seen {
					s.h.Seen(time.Now())
				}
			}
			if s.h.Down() == seen {
				t.Errorf("heard of between: %t, down: %t", seen, s.h.Down())
			}
		})
	}
}
