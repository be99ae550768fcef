package fallback

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/store"
)

// rig is a Queue with a server that writes down what it gets.
type rig struct {
	*testing.T
	*Queue

	reg *prometheus.Registry

	mu     sync.Mutex
	up     bool
	answer dialogs.Result
	takes  time.Duration
	got    []string
	trials int // that a server got which is down

	observing atomic.Bool
	flying    map[string]bool
}

func play(t *testing.T, f func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		defer r.end()
		r.Start(t.Context())
		f(r)
	})
}

func newRig(t *testing.T, most int) *rig {
	t.Helper()
	r := &rig{T: t, reg: prometheus.NewRegistry(), answer: dialogs.Result{Status: 200}, flying: map[string]bool{}}
	r.Queue = New(Config{Send: r.send, Up: r.isUp, Observing: r.observing.Load}, zerolog.Nop(), r.reg)
	if most > 0 {
		r.maxBytes = most
	}
	return r
}

func (r *rig) end() {
	if err := r.Shutdown(context.Background()); err != nil {
		r.Error(err)
	}
}

func (r *rig) isUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.up
}

// send is the server's. Of one user it must never have two at a time.
func (r *rig) send(ctx context.Context, raw []byte) dialogs.Result {
	user, _, _ := strings.Cut(string(raw), " ")
	r.mu.Lock()
	if r.flying[user] {
		r.Errorf("two REGISTERs of %s are under way", user)
	}
	r.flying[user] = true
	answer, takes := r.answer, r.takes
	if r.up {
		r.got = append(r.got, string(raw))
	} else {
		r.trials++
		answer = dialogs.Result{Err: dialogs.ErrNoResponse}
	}
	r.mu.Unlock()
	select {
	case <-ctx.Done():
		answer = dialogs.Result{Err: ctx.Err()}
	case <-time.After(takes):
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flying[user] = false
	return answer
}

func (r *rig) set(up bool, status int) {
	r.mu.Lock()
	r.up, r.answer = up, dialogs.Result{Status: status}
	if status == 0 {
		r.answer.Err = dialogs.ErrNoResponse
	}
	r.mu.Unlock()
}

func (r *rig) keep(user, what string, expires int) {
	r.Keep([]byte(user), []byte(user+" "+what), expires, time.Now())
}

// took gives what the server has got since it was asked last.
func (r *rig) took() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.Join(r.got, ", ")
	r.got = nil
	return s
}

func (r *rig) want(got string) {
	r.Helper()
	if have := r.took(); have != got {
		r.Fatalf("the server got %q, want %q", have, got)
	}
}

func (r *rig) counts(want string) {
	r.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.Fatal(err)
	}
	var have []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if n := m.GetCounter().GetValue(); n > 0 {
					have = append(have, fmt.Sprint(l.GetValue(), " ", n))
				}
			}
		}
	}
	if s := strings.Join(have, ", "); s != want {
		r.Fatalf("counted %q, want %q", s, want)
	}
}

func (r *rig) pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

// The newest of each user is sent, in the order in which they came, when the server is
// back and not before.
func TestNewestInOrder(t *testing.T) {
	play(t, func(r *rig) {
		r.keep("alice", "1", 600)
		r.keep("bob", "1", 600)
		r.keep("carol", "1", 600)
		r.keep("alice", "2", 0)
		r.keep("alice", "2", 0)
		r.pass(time.Minute)
		r.want("")
		r.set(true, 200)
		r.pass(look + time.Second)
		r.want("bob 1, carol 1, alice 2")
		if r.Len() != 0 || r.Keeps([]byte("alice")) {
			t.Error("still kept")
		}
		r.counts("kept 4, replaced 1, sent 3")
	})
}

// A server that is down is tried now and then, by one: it may be there all the same.
func TestTrials(t *testing.T) {
	play(t, func(r *rig) {
		for i := range 100 {
			r.keep(fmt.Sprint("user", i), "1", 600)
		}
		r.pass(time.Minute)
		if r.trials < 4 || r.trials > 6 {
			t.Errorf("%d trials in a minute", r.trials)
		}
		if r.Len() != 100 {
			t.Errorf("%d are kept", r.Len())
		}
	})
}

// Who only observes sends nothing, and goes on where it was afterwards.
func TestObserving(t *testing.T) {
	play(t, func(r *rig) {
		r.observing.Store(true)
		r.keep("alice", "1", 600)
		r.set(true, 200)
		r.pass(time.Minute)
		r.want("")
		r.observing.Store(false)
		r.pass(look + time.Second)
		r.want("alice 1")
	})
}

// A word that the server is back is enough, and the rate is kept.
func TestRate(t *testing.T) {
	play(t, func(r *rig) {
		for i := range 200 {
			r.keep(fmt.Sprint("user", i), "1", 600)
		}
		r.set(true, 200)
		r.Wake()
		r.pass(time.Second - time.Millisecond)
		if n := len(strings.Split(r.took(), ",")); n < 90 || n > 101 {
			t.Errorf("%d in a second", n)
		}
	})
}

// What is over before the server is back is not sent: it would sign in a user who is gone.
func TestExpired(t *testing.T) {
	play(t, func(r *rig) {
		r.keep("alice", "1", 60)
		r.keep("bob", "1", 600)
		r.keep("carol", "none", -1)
		r.keep("dave", "out", 0)
		r.pass(2 * time.Minute)
		r.set(true, 200)
		r.pass(look + time.Second)
		r.want("bob 1, carol none, dave out")
		r.counts("expired 1, kept 4, sent 3")
	})
}

// What the server does not answer, or refuses for a while, is sent again after a rest; any
// other answer settles it.
func TestAgain(t *testing.T) {
	for _, status := range []int{0, 503} {
		play(t, func(r *rig) {
			r.set(true, status)
			r.keep("alice", "1", 600)
			r.want("alice 1")
			r.pass(rest - time.Second)
			r.want("")
			r.set(true, 403)
			r.pass(2 * time.Second)
			r.want("alice 1")
			r.pass(time.Minute)
			r.want("")
			r.counts("kept 1, refused 1")
		})
	}
}

// TestRests: the pause after a failure is what the server asks for, within bounds, and the
// longest of those asked for at a time. A server that says nothing of the kind with a failure
// other than 503 has settled it.
func TestRests(t *testing.T) {
	for _, c := range []struct {
		status int
		after  time.Duration
		pause  time.Duration // 0: it is settled
	}{
		{503, 0, rest},
		{503, time.Second, time.Second},
		{503, 30 * time.Second, 30 * time.Second},
		{503, 24 * time.Hour, longestRest},
		{500, 30 * time.Second, 30 * time.Second},
		{500, 0, 0},
		{403, 30 * time.Second, 0},
	} {
		play(t, func(r *rig) {
			r.set(true, c.status)
			r.answer.RetryAfter = c.after
			r.keep("alice", "1", 3600)
			r.want("alice 1")
			r.set(true, 200)
			if c.pause == 0 {
				r.pass(10 * time.Minute)
				r.want("")
				return
			}
			r.pass(c.pause - time.Millisecond)
			r.want("")
			r.pass(look + time.Millisecond)
			r.want("alice 1")
		})
	}
	play(t, func(r *rig) {
		r.takes = time.Second
		r.set(true, 503)
		r.answer.RetryAfter = 30 * time.Second
		r.keep("alice", "1", 3600)
		r.want("alice 1")
		r.set(true, 503)
		r.keep("bob", "1", 3600)
		r.pass(500 * time.Millisecond)
		r.want("bob 1")
		r.pass(29 * time.Second)
		r.want("") // though the 503 for bob says nothing
	})
}

// One that comes while an older one is under way follows it, whatever becomes of that.
func TestFollows(t *testing.T) {
	for _, status := range []int{0, 200, 500} {
		play(t, func(r *rig) {
			r.takes = 30 * time.Second
			r.set(true, status)
			r.keep("alice", "1", 600)
			r.want("alice 1")
			r.keep("alice", "2", 600)
			r.keep("alice", "3", 0)
			r.pass(time.Second)
			r.want("")
			r.set(true, 200)
			r.pass(time.Minute)
			r.want("alice 3")
		})
	}
}

// Where there is no room the newcomer is not kept, and whoever is kept stays. An old one
// that a newer one was to replace is gone in any case: it says what is no longer true.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2*overhead+40)
		r.Start(t.Context())
		defer r.end()
		r.keep("alice", "1", 600)
		r.keep("bob", "1", 600)
		r.keep("carol", "1", 600)
		r.keep("bob", strings.Repeat("long", 20), 600)
		r.set(true, 200)
		r.pass(look + time.Second)
		r.want("alice 1")
		r.counts("full 2, kept 2, replaced 1, sent 1")
	})
}

// What is kept outlives the process, in its order.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := store.NewMemoryStore()
		begin := func() (*rig, *store.Keeper) {
			r := newRig(t, 0)
			k := store.NewKeeper(store.KeeperConfig{}, journal, zerolog.Nop(), r.Queue)
			if err := k.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			k.Start(t.Context())
			r.Start(t.Context())
			return r, k
		}
		finish := func(r *rig, k *store.Keeper) {
			r.end()
			if err := k.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
		r, k := begin()
		r.set(true, 200)
		r.keep("gone", "1", 600)
		r.want("gone 1")
		r.set(false, 0)
		for i := range 20 {
			r.keep(fmt.Sprint("user", i), "1", 600)
		}
		r.keep("user3", "2", 0)
		finish(r, k)

		r, k = begin()
		defer finish(r, k)
		if r.Len() != 20 {
			t.Fatalf("%d are kept", r.Len())
		}
		r.keep("user5", "2", 600)
		r.set(true, 200)
		r.pass(look + time.Second)
		got := strings.Split(r.took(), ", ")
		if len(got) != 20 || got[0] != "user0 1" || got[18] != "user3 2" || got[19] != "user5 2" {
			t.Errorf("got %q", got)
		}
	})
}

// Whatever happens, the server ends with the newest of each user, and never has two of one
// user at a time.
func TestServerEndsWithTheNewest(t *testing.T) {
	for seed := range uint64(50) {
		play(t, func(r *rig) {
			random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test
			newest := map[string]string{}
			for i := range 200 {
				user := string(rune('a' + random.IntN(8)))
				r.keep(user, fmt.Sprint(i), 3600)
				newest[user] = fmt.Sprint(user, " ", i)
				r.mu.Lock()
				r.takes = time.Duration(random.IntN(3000)) * time.Millisecond
				r.mu.Unlock()
				r.set(random.IntN(3) > 0, []int{0, 200, 503}[random.IntN(3)])
				r.pass(time.Duration(random.IntN(1000)) * time.Millisecond)
			}
			r.set(true, 200)
			r.pass(time.Minute)
			last := map[string]string{}
			for _, s := range r.got {
				last[s[:1]] = s
			}
			for user, want := range newest {
				if last[user] != want {
					t.Errorf("seed %d: the server ends with %q, want %q", seed, last[user], want)
				}
			}
			if r.Len() != 0 || r.bytes != 0 || r.order.Len() != 0 {
				t.Errorf("seed %d: %d left, %d bytes", seed, r.Len(), r.bytes)
			}
		})
	}
}

// A value of another version, or of nothing, is left out.
func TestUnreadable(t *testing.T) {
	r := newRig(t, 0)
	now := time.Now()
	for _, e := range []store.Entry{
		{Kind: store.KindRegister, Key: "a", Value: []byte("?"), Until: now.Add(time.Hour)},
		{Kind: store.KindRegister, Key: "a", Value: []byte(`{}`), Until: now.Add(time.Hour)},
		{Kind: store.KindRegister, Value: []byte(`{"raw":"QQ=="}`), Until: now.Add(time.Hour)},
		{Kind: store.KindRegister, Key: "a", Value: []byte(`{"raw":"QQ=="}`), Until: now},
	} {
		if r.Restore(e, now) {
			t.Errorf("%+v was taken", e)
		}
	}
	if !slices.Equal(r.Kinds(), []store.Kind{store.KindRegister}) {
		t.Error("kinds")
	}
}
