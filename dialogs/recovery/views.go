package recovery

import (
	"time"

	"rewatch/dialogs/recovery/ladder"
	"rewatch/policy"
)

// StateView is the state of one user as the API shows it.
type StateView struct {
	AOR string `json:"aor"`
	policy.State
	// Of is the threshold that State.Sent counts up to.
	Of int `json:"of"`
}

// Recoveries returns the recoveries that are running and then those that ended,
// each the newest first.
func (e *Engine) Recoveries() []ladder.View {
	views := e.ladders.Views()
	seen := make(map[string]bool, len(views))
	for i := range views {
		if v := &views[i]; !v.Delivery && !seen[v.AOR] { // of a user's recoveries the first is the latest
			seen[v.AOR] = true
			v.Standing, v.Hop = e.standing(v.AOR)
		}
	}
	return views
}

// The standings of a user: what was done to it, or what it waits for.
const (
	StandingHeld       = "held"        // its recovery goes on when a hold ends
	StandingBanned     = "banned"      // given up, and refused
	StandingSignedOut  = "signed-out"  // given up, and its devices signed out
	StandingSigningOut = "signing-out" // given up; the de-REGISTER is outstanding
	StandingRegistered = "registered"  // given up, and left registered
)

// Ladders are what Recoveries shows.
func (e *Engine) Ladders() *ladder.Ladders { return e.ladders }

func (e *Engine) standing(aor string) (standing, hop string) {
	sh := e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[aor]
	if u == nil {
		return "", ""
	}
	s, hop := u.state, e.outages.hopOf(u)
	over := s.Phase == policy.Idle || s.Phase == policy.Exhausted && (s.SignedOut || s.StaysRegistered)
	switch {
	case !over && e.outages.heldUp(u):
		return StandingHeld, hop
	case time.Now().Before(s.BannedUntil) && !e.cfg.sacred(aor):
		return StandingBanned, hop
	case s.Phase != policy.Exhausted:
		return "", hop
	case s.SignedOut:
		return StandingSignedOut, hop
	case s.StaysRegistered:
		return StandingRegistered, hop
	default:
		return StandingSigningOut, hop
	}
}

// State returns the state of one user; false if nothing is known of them.
func (e *Engine) State(aor string) (StateView, bool) {
	s, ok := e.look(aor)
	return viewOf(aor, s, e.cfg.Rules.Threshold), ok
}

func viewOf(aor string, s policy.State, threshold int) StateView {
	return StateView{AOR: aor, State: s, Of: threshold}
}

// Client is what has become of the subscriptions of one family of clients.
type Client struct {
	// Failures counts those that broke, Returns those that came back, by what brought
	// them back. What is missing came back by nothing, or has yet to.
	Failures uint64
	Returns  [policy.ByItself + 1]uint64
}

// Returned implements Recovery.
func (e *Engine) Returned(userAgent string, by policy.By) {
	e.metrics.returns[by].Inc()
	e.clients.Change(userAgent, func(c *Client) { c.Returns[by]++ })
}

// Clients tells what clients know, by the family of their software.
func (e *Engine) Clients() map[string]Client { return e.clients.All() }
