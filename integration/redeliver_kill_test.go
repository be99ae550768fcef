//go:build integration

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestRedeliveryKilled: rewatch is killed at random moments while NOTIFYs are about to be
// kept, are kept or are delivered. No watcher stays without the newest state: whatever the
// server was answered 200 for comes to the phone, from this process or by the recovery in
// the next one.
//
// REDELIVER_KILLS is how often, KILL_SEED=n draws the same moments once more.
func TestRedeliveryKilled(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"file", "redis"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			state := "file:" + s.file("state.db")
			if kind == "redis" {
				state = s.startRedis().url()
			}
			k := &keptKiller{
				t: t, n: s.startNotifier(), c: s.startSCSCF(), seed: uint64(time.Now().UnixNano()), //nolint:gosec // any will do
				settings: env{
					"REWATCH_REDELIVER": "10m", "REWATCH_STATE": state, "REWATCH_THRESHOLD": "1000", "REWATCH_OUTAGE_RATIO": "1",
					"REWATCH_RESUBSCRIBE_TIMEOUT": "60s", "REWATCH_LOG_LEVEL": "info",
				},
			}
			if text := os.Getenv("KILL_SEED"); text != "" {
				k.seed, _ = strconv.ParseUint(text, 10, 64)
			}
			t.Logf("KILL_SEED=%d", k.seed)
			k.rng = rand.New(rand.NewPCG(k.seed, 0)) //nolint:gosec // no secret
			kills := 4
			if text := os.Getenv("REDELIVER_KILLS"); text != "" {
				kills, _ = strconv.Atoi(text)
			}
			k.r = s.startRewatch(k.settings)
			for round := range kills {
				k.round(round)
			}
			t.Logf("%d kills: %d states had been answered, %d of them came by a NOTIFY, %d by a recovery", kills, k.answered, k.delivered, k.recovered)
		})
	}
}

// A keptKiller kills rewatch in rounds.
type keptKiller struct {
	t        *testing.T
	n        *notifier
	c        *scscf
	r        *rewatch
	settings env
	seed     uint64
	rng      *rand.Rand
	watchers [8]*handset
	// What became of the states that the server was answered 200 for while the phones
	// were out of reach.
	answered, delivered, recovered int
}

func watcherName(i int) string { return fmt.Sprintf("watcher%d", i) }

// round has every phone miss a state, kills rewatch in the midst of it, and waits until
// each of them has it.
func (k *keptKiller) round(number int) {
	k.t.Helper()
	for i := range k.watchers {
		if k.watchers[i] == nil {
			k.watchers[i] = k.c.handset(k.n, watcherName(i))
		}
		k.c.answer("NOTIFY", watcherName(i), 480, "Temporarily Unavailable")
	}
	began := time.Now()
	var server sync.WaitGroup
	wants, ok := [len(k.watchers)]int{}, [len(k.watchers)]bool{}
	for i, h := range k.watchers {
		wants[i] = h.server.cseq + 1
		server.Go(func() {
			m := k.n.notify(h.server, 30*time.Second)
			ok[i] = m != nil && m.status == 200
		})
	}
	back := k.rng.IntN(2) == 0 // are the phones back before the kill?
	time.Sleep(time.Duration(k.rng.IntN(250)) * time.Millisecond)
	if back {
		k.back()
		time.Sleep(time.Duration(k.rng.IntN(50)) * time.Millisecond)
	}
	k.r.signal(syscall.SIGKILL)
	_ = k.r.wait(patience)
	k.back()
	k.r = k.r.s.startRewatch(k.settings)
	server.Wait()
	for i, h := range k.watchers {
		k.answered += one(ok[i])
		told := false
		eventually(k.t, 2*patience, fmt.Sprintf("round %d: %s has state %d, which was answered 200 (%t), or is told", number, h.user, wants[i], ok[i]), func() bool {
			told = k.c.count(func(m *message) bool { return m.method == "MESSAGE" && userOf(m.uri) == h.user && m.at.After(began) }) > 0
			seen := h.saw()
			return told || seen[len(seen)-1] >= wants[i]
		})
		if told { // it subscribes anew
			k.watchers[i] = nil
			k.recovered++
		} else {
			k.delivered++
		}
	}
}

// back has the phones answer again.
func (k *keptKiller) back() {
	for _, h := range k.watchers {
		h.back()
	}
}
