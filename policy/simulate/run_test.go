package simulate_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rewatch/policy"
	"rewatch/policy/simulate"
)

// town is a network small enough for a test, with the rules of the product.
func town(scenario string, change func(*simulate.Config)) simulate.Config {
	c := simulate.World()
	c.Watchers = 20_000
	c.Clients.NotifyEvery = 5 * time.Minute
	c.NotifyTimeout = 28 * time.Second
	c.MessageRate, c.DeregisterRate, c.DeregisterCap = 200, 5, 1000
	c.Rules = policy.Rules{
		Threshold: 3, Ban: time.Hour, ResubscribeTimeout: 30 * time.Second, Coalesce: 500 * time.Millisecond,
		ProofTimeout: 32 * time.Second, MessageTimeout: 40 * time.Second,
		DeregisterRetry: 5 * time.Second, DeregisterTries: 5, StrikeTTL: 24 * time.Hour, Forget: 24 * time.Hour,
	}
	for _, s := range simulate.Scenarios() {
		if s.Name == scenario {
			s.Apply(&c)
		}
	}
	if change != nil {
		change(&c)
	}
	return c
}

func run(t *testing.T, c simulate.Config) *simulate.Result {
	t.Helper()
	r, err := simulate.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// innocent: nobody was blamed for what it could not help.
func innocent(t *testing.T, r *simulate.Result) {
	t.Helper()
	if r.Wrong != 0 || r.Strikes != 0 {
		t.Errorf("%d users signed out wrongly, %d with strikes", r.Wrong, r.Strikes)
	}
	if r.Broken == 0 || r.Recovered != r.Broken {
		t.Errorf("%d watchers broken, %d recovered", r.Broken, r.Recovered)
	}
}

func TestAnOutageBlamesNobody(t *testing.T) {
	r := run(t, town("outage", func(c *simulate.Config) { c.Hops, c.Clients.Ignore, c.Clients.Lost = 1, 0, 0 }))
	innocent(t, r)
	if r.Holds != 1 || r.Deregisters != 0 {
		t.Errorf("%d holds, %d de-REGISTERs", r.Holds, r.Deregisters)
	}
	// As issued: after the return, all are back within broken / rate + 10 s.
	back := r.Config.Trouble.Start + time.Minute
	last := slices.IndexFunc(r.Series[int(back.Seconds()):], func(s simulate.Second) bool { return s.Broken == 0 })
	if limit := r.Broken/200 + 10; last < 0 || last > limit {
		t.Errorf("the last of %d was back %d s after the return, not within %d s", r.Broken, last, limit)
	}
	for i, s := range r.Series {
		if s.Held > 0 && s.Messages > 3 { // a few go ahead when OPTIONS are answered
			t.Errorf("%d MESSAGEs in second %d, while held", s.Messages, i)
		}
	}
	if r.PeakMessages > 201 {
		t.Errorf("%d MESSAGEs in a second", r.PeakMessages)
	}
}

// The core is silent for ten minutes, before few or many watchers with one NOTIFY for each in
// a minute: one alarm, no strike, nobody signed out, all are back.
func TestCoreSilentForTenMinutes(t *testing.T) {
	for _, watchers := range []int{3, 10, 30, 200, 5000} {
		r := run(t, town("blackout", func(c *simulate.Config) {
			c.Watchers, c.Hops, c.Clients.Subscriptions, c.Clients.NotifyEvery = watchers, 1, 1, time.Minute
		}))
		innocent(t, r)
		if r.Holds != 1 || r.Deregisters != 0 {
			t.Errorf("%d watchers: %d holds, %d de-REGISTERs", watchers, r.Holds, r.Deregisters)
		}
	}
}

// Whatever goes wrong, and however few or many they are, nobody is signed out whose phone
// works: not by kind of client, nor for another device of the same user.
func TestNobodyIsSignedOutWrongly(t *testing.T) {
	for _, watchers := range networks {
		for _, s := range simulate.Scenarios() {
			if s.Name == "nohold" {
				continue
			}
			r := run(t, town(s.Name, func(c *simulate.Config) {
				c.Watchers = watchers
				if watchers < 10_000 {
					c.Hops = 1
				}
			}))
			if r.Wrong != 0 {
				t.Errorf("%s, %d watchers: %d signed out wrongly (%v)", s.Name, watchers, r.Wrong, r.WrongBy)
			}
		}
	}
}

func TestALongOutageBlamesNobody(t *testing.T) {
	innocent(t, run(t, town("blackout", nil)))
}

// Without the hold the same outage signs people out: the test is no use if it
// could not fail.
func TestTheHoldMatters(t *testing.T) {
	r := run(t, town("nohold", nil))
	if r.Wrong == 0 || r.Holds != 0 {
		t.Errorf("%d signed out wrongly, %d holds", r.Wrong, r.Holds)
	}
}

func TestClientsThatIgnoreTheMessageAreNotBlamedForAnOutage(t *testing.T) {
	r := run(t, town("standard", nil))
	innocent(t, r)
	if r.P99 < 10*time.Minute {
		t.Errorf("p99 %s, but half of them come back at their refresh", r.P99)
	}
}

func TestDeadPhonesAreGivenUp(t *testing.T) {
	r := run(t, town("deadphones", nil))
	if r.Deregisters == 0 || r.Wrong != 0 || r.Holds != 0 || r.Recovered < r.Broken-5 {
		t.Errorf("%d de-REGISTERs, %d wrong, %d holds, %d of %d recovered", r.Deregisters, r.Wrong, r.Holds, r.Recovered, r.Broken)
	}
}

func TestOneDeadHopIsHeldAlone(t *testing.T) {
	for _, name := range []string{"dyinghop", "flapping"} {
		r := run(t, town(name, nil))
		if r.Wrong != 0 || r.Deregisters != 0 || r.Holds == 0 {
			t.Errorf("%s: %d wrong, %d de-REGISTERs, %d holds", name, r.Wrong, r.Deregisters, r.Holds)
		}
	}
}

func TestLossIsNoOutage(t *testing.T) {
	for _, name := range []string{"loss", "reregister"} {
		r := run(t, town(name, nil))
		if r.Holds != 0 || r.Wrong != 0 || r.Broken == 0 {
			t.Errorf("%s: %d holds, %d wrong, %d broken", name, r.Holds, r.Wrong, r.Broken)
		}
	}
}

func TestTheCapBites(t *testing.T) {
	r := run(t, town("deadphones", func(c *simulate.Config) {
		c.Trouble.Dead, c.DeregisterCap = 0.05, 10
	}))
	if r.Deregisters > 20 || r.Deregisters < 10 || r.Wrong != 0 {
		t.Errorf("%d de-REGISTERs in two hours, %d wrong", r.Deregisters, r.Wrong)
	}
}

func TestOtherWaysOfGivingUp(t *testing.T) {
	for _, on := range []policy.OnThreshold{policy.Ban, policy.Unsubscribe} {
		r := run(t, town("deadphones", func(c *simulate.Config) {
			c.Rules.OnThreshold = on
			c.Rules.Ban = 5 * time.Minute
			c.Duration = 3 * time.Hour
		}))
		if r.Recovered != r.Broken || (r.Deregisters == 0) != (on == policy.Unsubscribe) {
			t.Errorf("%s: %d de-REGISTERs, %d of %d recovered", on, r.Deregisters, r.Recovered, r.Broken)
		}
	}
}

func TestTheSeedDecides(t *testing.T) {
	one := run(t, town("flapping", nil))
	same := run(t, town("flapping", nil))
	if !reflect.DeepEqual(one, same) {
		t.Error("the same seed gave something else")
	}
	other := run(t, town("flapping", func(c *simulate.Config) { c.Seed = 2 }))
	if reflect.DeepEqual(one.Series, other.Series) {
		t.Error("another seed gave the same")
	}
}

func TestTimeIsTheSameForOneReplicaOrMany(t *testing.T) {
	r := run(t, town("outage", func(c *simulate.Config) { c.Replicas = 4 }))
	innocent(t, r)
	if r.Holds != 4*r.Config.Hops || r.PeakMessages < 400 {
		t.Errorf("%d holds, %d MESSAGEs in a second", r.Holds, r.PeakMessages)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	c := town("", func(c *simulate.Config) {
		c.Watchers, c.Hops, c.Duration = 0, 0, 0
		c.Trouble.Loss, c.Trouble.FlapFor = 2, time.Hour
		c.Clients = simulate.Clients{}
	})
	_, err := simulate.Run(t.Context(), c)
	for _, want := range []string{"watchers", "hops", "duration", "loss", "flap-down", "refresh"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not speak of %s", err, want)
		}
	}
	_, err = simulate.Run(t.Context(), town("", func(c *simulate.Config) {
		c.Watchers, c.Duration = 1<<31, 30*24*time.Hour
	}))
	if err == nil || !strings.Contains(err.Error(), "at most") {
		t.Error(err)
	}
}

func TestItStopsWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := simulate.Run(ctx, town("outage", nil)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
