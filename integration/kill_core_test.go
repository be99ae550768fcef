//go:build integration

package integration

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKilledBeforeTheCore: the same between a real core and its phones. Some of those
// hear nothing until they are given up; the others miss one NOTIFY.
func TestKilledBeforeTheCore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	hook := s.startWebhook()
	core := s.startBigCore()
	c := s.startCity(4*killsByCore, "udp")
	seen := make(chan struct{}, 1)
	k := s.newKiller(hook, seen, env{"REWATCH_STATE_SYNC": "0s", "REWATCH_COALESCE": "300ms"})
	k.launch(true)
	c.settle()
	eventually(t, patience, "everybody is known", func() bool {
		return k.rewatch.metric("rewatch_registrations") == float64(len(c.people)) && k.rewatch.metric("rewatch_state_pending") == 0
	})
	c.server.work.Go(func() { c.mend(seen) })
	k.rewatch.kill()
	began := time.Now()
	for i := range killsByCore {
		ill := c.people[4*i : 4*i+4]
		c.change(ill, func(p *citizen) { p.numb = true })
		for _, p := range ill {
			c.notify(p.server)
		}
		k.kill()
	}
	k.launch(true)
	k.ended(func() bool { return c.lost() >= len(c.people) }, c.users)

	skipped, presumed, forgotten := 0, 0, 0
	for _, p := range c.people {
		told, out, state := c.told(p), core.deregistered(p.user), k.stateOf(p.user)
		last := 0
		for _, text := range told {
			word, _, _ := strings.Cut(text, " ")
			n, _ := strconv.Atoi(word)
			if n <= last || n > wardThreshold {
				t.Errorf("%s: MESSAGEs %v", p.user, told)
			}
			skipped += n - last - 1
			last = n
		}
		switch {
		case len(told) == 0 && !state.SignedOut && k.mayBeLost(p.server.ended, 0, 1):
			forgotten++ // the failure passed while the last commit ran
		case len(told) == 0 && !state.SignedOut:
			t.Errorf("%s: the failure is forgotten: %+v", p.user, state)
		case out > 1:
			t.Errorf("%s is signed out %d times", p.user, out)
		case c.stubborn(p) && !state.SignedOut:
			t.Errorf("%s is not given up: MESSAGEs %v, %+v", p.user, told, state)
		case c.stubborn(p) && out == 0:
			presumed++
		case !c.stubborn(p) && c.working(began, p) == 0 && !state.SignedOut:
			t.Errorf("%s is not well: MESSAGEs %v, %+v", p.user, told, state)
		}
	}
	t.Logf("%d kills %v, %d users, %d MESSAGEs; counted and not sent: %d MESSAGEs, %d de-REGISTERs; %d failures lost",
		len(k.kills), k.counts, len(c.people), c.messages(), skipped, presumed, forgotten)
	k.sound()
}

// stubborn says whether a citizen hears nothing for good.
func (c *city) stubborn(p *citizen) bool {
	return strings.HasSuffix(p.user, "0") || strings.HasSuffix(p.user, "5")
}

func (c *city) users() (all []string) {
	for _, p := range c.people {
		all = append(all, p.user)
	}
	return all
}

// mend lets those hear again, but for the stubborn, whose subscriptions have broken.
func (c *city) mend(seen chan<- struct{}) {
	for before := 0; !c.server.isClosed(); time.Sleep(5 * time.Millisecond) {
		if n := c.lost() + c.messages(); n > before {
			before = n
			select {
			case seen <- struct{}{}:
			default:
			}
		}
		c.change(c.people, func(p *citizen) {
			if p.numb && p.server.gone && !c.stubborn(p) {
				p.numb = false
			}
		})
	}
}
