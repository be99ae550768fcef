//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// killsEach is how often rewatch is killed in each of the two ways to keep its
	// state, killsByCore how often with the real core.
	killsEach   = 90
	killsByCore = 30
	// wardThreshold is how many MESSAGEs a user gets.
	wardThreshold = 3
)

// TestKilledAtRandom: rewatch is killed at random moments while many users are on their
// way through the reference flow of 20 steps and to the threshold. Whatever the moment,
// the file opens, no attempt is made twice and nobody is signed out twice. What else a
// kill may cost is what REWATCH_STATE_SYNC allows. At 0s that is what passed while a
// commit ran.
//
// KILL_SEED=n draws the same moments once more.
func TestKilledAtRandom(t *testing.T) {
	for _, c := range []struct {
		name, sync string
		window     time.Duration // of what a kill may take away; 0: of nothing
	}{
		{"every step is committed", "0s", 0},
		{"committed together", "100ms", 100 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			w := s.startWard()
			k := s.newKiller(w.hook, w.seen, env{"REWATCH_STATE_SYNC": c.sync})
			for range killsEach {
				k.kill()
			}
			k.launch(true)
			w.end(k)
			w.judge(k, c.window)
		})
	}
}

// belated is how late something may begin on a machine that has other things to do.
const belated = 50 * time.Millisecond

// A killer starts rewatch and kills it, again and again.
type killer struct {
	t        *testing.T
	s        *site
	hook     *webhook
	seen     <-chan struct{} // good moments
	settings []string
	file     string
	rng      *rand.Rand
	rewatch  *rewatch
	kills    []time.Time
	counts   map[string]int

	mu      sync.Mutex
	commits []commit
}

func (s *site) newKiller(hook *webhook, seen <-chan struct{}, extra env) *killer {
	s.t.Helper()
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any will do
	if text := os.Getenv("KILL_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	s.t.Logf("KILL_SEED=%d", seed)
	k := &killer{
		t: s.t, s: s, hook: hook, seen: seen, file: s.file("state.db"),
		rng: rand.New(rand.NewPCG(seed, 0)), counts: make(map[string]int),
	}
	all := env{
		"REWATCH_STATE": "file:" + k.file, "REWATCH_THRESHOLD": strconv.Itoa(wardThreshold),
		"REWATCH_NOTIFY_TIMEOUT": "300ms", "REWATCH_RESUBSCRIBE_TIMEOUT": "400ms", "REWATCH_COALESCE": "50ms",
		"REWATCH_OUTAGE_RATIO": "1", "REWATCH_DRAIN": "2s", "REWATCH_LOG_LEVEL": "info",
		"REWATCH_DEREGISTER_RATE": "1000", "REWATCH_ALARM_WEBHOOK": hook.url,
	}
	maps.Copy(all, extra)
	k.settings = s.settings(all)
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { k.watch(done) })
	s.t.Cleanup(func() {
		close(done)
		watching.Wait()
	})
	return k
}

// launch starts rewatch; if it is to be ready, waits until it is.
func (k *killer) launch(ready bool) {
	k.t.Helper()
	k.rewatch = &rewatch{process: k.s.start("rewatch", k.settings, binary), s: k.s}
	if !ready {
		return
	}
	eventually(k.t, patience, "rewatch is alive", func() bool {
		k.rewatch.running() // the file opens every time
		status, _ := k.rewatch.get("/healthz")
		return status == http.StatusOK
	})
}

// kill starts rewatch and kills it at a moment that it draws.
func (k *killer) kill() {
	k.t.Helper()
	some := func(most time.Duration) time.Duration { return time.Duration(k.rng.Int64N(int64(most))) }
	what := []string{"opening", "commit", "commit", "commit", "message", "message", "drain", "any", "any", "any"}[k.rng.IntN(10)]
	first, then, last := some(60*time.Millisecond), some(700*time.Millisecond), some(3*time.Millisecond)
	if k.rng.IntN(2) == 0 {
		last = 0
	}
	k.launch(what != "opening")
	var before uint64
	begun := false
	switch what {
	case "opening":
		time.Sleep(first)
	case "commit":
		time.Sleep(then)
		before, begun = k.awaitWrite()
		time.Sleep(last)
	case "message":
		time.Sleep(then)
		k.awaitMessage()
		time.Sleep(last)
	case "drain":
		time.Sleep(then)
		_ = k.rewatch.cmd.Process.Signal(syscall.SIGTERM)
		time.Sleep(10 * first)
	case "any":
		time.Sleep(2 * then)
	}
	if what != "drain" { // which may have come to its end
		k.rewatch.running()
	}
	k.kills = append(k.kills, time.Now())
	k.rewatch.kill()
	k.counts[what]++
	if begun && k.txid() == before {
		k.counts["in the midst of a commit"]++
	}
}

// awaitMessage waits until the neighbours see something of a recovery, but not for ever.
func (k *killer) awaitMessage() {
	select {
	case <-k.seen:
	default:
	}
	select {
	case <-k.seen:
	case <-time.After(time.Second):
	}
}

// ended waits until the recovery of all of these users has.
func (k *killer) ended(also func() bool, users func() []string) {
	k.t.Helper()
	eventually(k.t, patient, "every recovery has ended", func() bool {
		_, text := k.rewatch.get("/metrics")
		return also() && strings.Contains(text, "\nrewatch_state_pending 0\n") &&
			!slices.ContainsFunc(users(), func(user string) bool { return k.stateOf(user).running() })
	})
}

// recoveryState is what the API tells of a user's recovery.
type recoveryState struct {
	Phase     string
	Sent      int
	SignedOut bool      `json:"signed_out"`
	Kept      bool      `json:"kept"`
	AlarmAt   time.Time `json:"alarm_at"`
}

// running says whether anything is still to be done.
func (s recoveryState) running() bool {
	return s.Phase != "" && s.Phase != "idle" && (s.Phase != "exhausted" || !s.SignedOut && !s.Kept)
}

// stateOf asks for the state of a user; it is zero if nothing is known.
func (k *killer) stateOf(user string) recoveryState {
	k.t.Helper()
	var v struct{ Recovery *recoveryState }
	status, body := k.rewatch.get("/api/v1/watchers/sip:" + user + "@ims.example")
	if status == http.StatusNotFound {
		return recoveryState{}
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		k.t.Fatalf("%d %s: %v", status, body, err)
	}
	if v.Recovery == nil {
		return recoveryState{}
	}
	return *v.Recovery
}

// sound says whether rewatch has ended by kills alone.
func (k *killer) sound() {
	k.t.Helper()
	log := k.rewatch.output()
	for _, cry := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(log, cry) {
			k.t.Errorf("rewatch said %q", cry)
		}
	}
}

// allowed says whether it may go wrong what happened at some time.
func (k *killer) allowed(kind string, at time.Time, window time.Duration) bool {
	switch kind {
	case skipped, presumed:
		return true
	case lostFailure:
		return k.mayBeLost(at, window, 1) // the one that runs
	case extra:
		// The answer to a SUBSCRIBE passes at once, too. That it was accepted is
		// committed next, after the commit that runs.
		return k.mayBeLost(at, window, 1)
	case forgotten:
		// A REGISTER passes first and fast, and its answer waits for nothing. What is
		// learnt is written in turn: this one may have missed the batch of before,
		// which waited for a commit that ran and then for its own, as the next one does.
		// Before that it is collected every 10 ms, behind the writers of the users: two
		// more who wait for their turn.
		return k.mayBeLost(at, window+10*time.Millisecond+2*belated, 4)
	default:
		return false
	}
}

// underWay is how long after a kill something may be noted that was sent before, by
// neighbours who have to wait for their turn on a busy machine.
const underWay = 150 * time.Millisecond

// untilKill is how long after a moment the next kill came.
func (k *killer) untilKill(at time.Time) time.Duration {
	for _, kill := range k.kills {
		if kill.After(at.Add(-underWay)) {
			return max(0, kill.Sub(at))
		}
	}
	return time.Hour
}

func (k *killer) killsAround(at time.Time) string {
	var b strings.Builder
	for _, kill := range k.kills {
		if d := kill.Sub(at); d > -3*time.Second && d < 3*time.Second {
			fmt.Fprintf(&b, " %s (%+v)", kill.Format("15:04:05.000"), d)
		}
	}
	return b.String()
}
