package recovery_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs/recovery"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// hub is what several replicas share; each of them has a seat.
type hub struct {
	*store.MemoryStore

	mu     sync.Mutex
	owners map[string]*seat
	seats  []*seat
	lost   bool // what is not there was lost
}

func newHub() *hub {
	return &hub{MemoryStore: store.NewMemoryStore(), owners: make(map[string]*seat)}
}

// seat is the hub as one replica sees it: it may be cut off.
type seat struct {
	*hub
	away    bool
	changed func(string)
	resync  func()
}

func (h *hub) seat() *seat {
	s := &seat{hub: h}
	h.seats = append(h.seats, s)
	return s
}

var errAway = errors.New("connection refused")

func (s *seat) reach() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	return nil
}

// publish tells the other seats of a change.
func (s *seat) publish(aor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owners[aor] = s
	for _, other := range s.seats {
		if other != s && !other.away && other.changed != nil {
			other.changed(aor)
		}
	}
}

func (s *seat) own(r store.Record) store.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Foreign = s.owners[r.AOR] != s
	return r
}

func (s *seat) Load(ctx context.Context, aor string) (store.Record, error) {
	if err := s.reach(); err != nil {
		return store.Record{}, err
	}
	r, err := s.MemoryStore.Load(ctx, aor)
	return s.own(r), err
}

func (s *seat) Save(ctx context.Context, r store.Record, with ...store.Entry) (uint64, error) {
	if err := s.reach(); err != nil {
		return 0, err
	}
	if has, _ := s.MemoryStore.Load(ctx, r.AOR); s.lost && has.Version == 0 && r.Version != 0 {
		return 0, store.ErrLost
	}
	v, err := s.MemoryStore.Save(ctx, r, with...)
	if err == nil {
		s.publish(r.AOR)
	}
	return v, err
}

func (s *seat) Delete(ctx context.Context, aor string, version uint64, with ...store.Entry) error {
	if err := s.reach(); err != nil {
		return err
	}
	err := s.MemoryStore.Delete(ctx, aor, version, with...)
	if err == nil {
		s.publish(aor)
	}
	return err
}

func (s *seat) All(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if err := s.reach(); err != nil {
			yield(store.Record{}, err)
			return
		}
		for r, err := range s.MemoryStore.All(ctx) {
			if !yield(s.own(r), err) {
				return
			}
		}
	}
}

func (s *seat) Shared() bool { return true }

func (s *seat) Ping(context.Context) error { return s.reach() }

func (s *seat) Watch(ctx context.Context, changed func(string), resync func()) error {
	s.mu.Lock()
	s.changed, s.resync = changed, resync
	s.mu.Unlock()
	resync()
	<-ctx.Done()
	return nil
}

// cut cuts seats off, or lets them back.
func (h *hub) cut(away bool, seats ...*seat) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range seats {
		if s.away = away; !away {
			s.resync()
		}
	}
}

// replicas starts some Engines on one hub.
func replicas(t *testing.T, n int, cfg recovery.Config) (*hub, []*seat, []*rig) {
	h := newHub()
	var seats []*seat
	var rigs []*rig
	for range n {
		s := h.seat()
		seats = append(seats, s)
		rigs = append(rigs, newRig(t, cfg, s))
	}
	synctest.Wait()
	return h, seats, rigs
}

func stopAll(rigs []*rig) {
	for _, r := range rigs {
		r.stop()
	}
}

const byScscf = " by sip:scscf.ims.example:6060;lr"

// A threshold of 3 that is reached by failures at three replicas: three MESSAGEs,
// one de-REGISTER and one alarm. The one who clears it is another than who raised it.
func TestReplicasCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, rigs := replicas(t, 3, config())
		for i, r := range rigs {
			r.offer(policy.NotifyFailed, "bob", "call-"+string(rune('1'+i)))
			r.at(time.Duration(10*i+5) * time.Second)
			rigs[(i+1)%3].offer(policy.Subscribed, "bob", "call-"+string(rune('2'+i)))
			r.at(time.Duration(10*i+10) * time.Second)
		}
		rigs[0].expect(`500ms  MESSAGE 1 of 3 to sip:alice@ims.example` + byScscf + `: bob`)
		rigs[1].expect(`10.5s  MESSAGE 2 of 3 to sip:alice@ims.example` + byScscf + `: bob`)
		rigs[2].expect(`20.5s  MESSAGE 3 of 3 to sip:alice@ims.example` + byScscf + `: bob`)

		rigs[1].offer(policy.NotifyFailed, "bob", "call-4")
		rigs[1].at(32 * time.Second)
		for _, r := range []*rig{rigs[0], rigs[2]} {
			r.expect(`30.5s  adopt watcher-exhausted of sip:alice@ims.example`)
		}
		rigs[1].expect(`
			30.5s   raise watcher-exhausted of sip:alice@ims.example, minor
			30.5s   REGISTER sip:alice@ims.example at core` + byScscf + `: "sip:alice@192.0.2.7:5066"
			30.51s  signed out sip:alice@ims.example`)

		rigs[2].offer(policy.Registered, "", "")
		rigs[2].at(33 * time.Second)
		rigs[0].offer(policy.NotifyOK, "bob", "call-5")
		rigs[0].at(34 * time.Second)
		rigs[0].expect(`33s     clear watcher-exhausted of sip:alice@ims.example`)
		rigs[1].expect(`33s  release watcher-exhausted of sip:alice@ims.example`)
		rigs[2].expect(`33s  release watcher-exhausted of sip:alice@ims.example`)
		rigs[0].offer(policy.Deregistered, "", "")
		rigs[0].at(time.Minute)
		for _, r := range rigs {
			r.expectForgotten()
		}
		stopAll(rigs)
	})
}

// A ban that one replica sets is in force at the others.
func TestReplicasShareABan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Rules.Threshold, cfg.Rules.OnThreshold = 1, policy.Ban
		_, _, rigs := replicas(t, 2, cfg)
		rigs[0].offer(policy.NotifyFailed, "bob", "call-1")
		rigs[0].at(time.Minute)
		for i, r := range rigs {
			if !r.Banned(alice, time.Now()) {
				t.Errorf("replica %d lets alice in", i)
			}
		}
		rigs[1].Unban(alice)
		rigs[1].at(2 * time.Minute)
		for i, r := range rigs {
			if r.Banned(alice, time.Now()) {
				t.Errorf("replica %d does not let alice in", i)
			}
		}
		stopAll(rigs)
	})
}

// A replica that dies in the midst of a recovery is followed by another.
func TestReplicaTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		h, _, rigs := replicas(t, 2, cfg)
		rigs[0].offer(policy.NotifyFailed, "bob", "call-1")
		rigs[0].at(10 * time.Second)
		h.cut(true, h.seats[0]) // as good as dead for the other
		rigs[1].at(93 * time.Second)
		rigs[1].expect("") // its clock may be a minute ahead
		rigs[1].at(94 * time.Second)
		rigs[1].expect(`1m33.51s  MESSAGE 2 of 3 to sip:alice@ims.example` + byScscf + `: bob`)
		stopAll(rigs)
	})
}

// Without the store each replica goes on with what it knows and de-registers
// nobody. When it is back, empty even, the higher count holds.
func TestReplicasAlone(t *testing.T) {
	for _, emptied := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := config()
			cfg.Rules.Threshold = 2
			h, seats, rigs := replicas(t, 2, cfg)
			rigs[0].offer(policy.NotifyFailed, "bob", "call-1")
			rigs[0].at(5 * time.Second)
			h.cut(true, seats...)
			rigs[0].at(10 * time.Second)
			rigs[0].at(3 * time.Minute)
			rigs[0].expect(`
				500ms     MESSAGE 1 of 2 to sip:alice@ims.example` + byScscf + `: bob
				6s        raise store-unavailable of state-store, major
				30.51s    MESSAGE 2 of 2 to sip:alice@ims.example` + byScscf + `: bob
				1m30.52s  raise watcher-exhausted of sip:alice@ims.example, minor`)
			rigs[1].expect(`6s  raise store-unavailable of state-store, major`)
			if emptied {
				r, err := h.Load(t.Context(), alice)
				if err := errors.Join(err, h.Delete(t.Context(), alice, r.Version)); err != nil {
					t.Fatal(err)
				}
				h.lost = true
			}
			h.cut(false, seats...)
			rigs[0].at(4 * time.Minute)
			r, err := h.Load(t.Context(), alice)
			if err != nil || r.State.Sent != 2 || r.State.Phase != policy.Exhausted {
				t.Errorf("the store has %+v, %v", r.State, err)
			}
			if s, _ := rigs[1].State(alice); s.Sent != 2 {
				t.Errorf("the other replica has %+v", s)
			}
			stopAll(rigs)
		})
	}
}

// A store that is away when a replica starts does not keep it from starting.
func TestReplicaStartsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _, rigs := replicas(t, 1, config())
		rigs[0].offer(policy.NotifyFailed, "bob", "call-1")
		rigs[0].at(time.Second)
		late := h.seat()
		late.away = true
		r := newRig(t, config(), late)
		r.at(5 * time.Second)
		r.expect(`0s  raise store-unavailable of state-store, major`)
		h.cut(false, late)
		r.at(10 * time.Second)
		r.expect(`5.5s  clear store-unavailable of state-store`)
		if s, ok := r.State(alice); !ok || s.Sent != 1 {
			t.Errorf("it knows %+v", s)
		}

		stopAll(append(rigs, r))
	})
}
