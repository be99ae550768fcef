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
	// Of is the threshold: so many MESSAGEs (State.Sent) before the user is given up.
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

// The values of ladder.View.Standing: what was done to the user, or what it waits for.
const (
	StandingHeld       = "held"        // its recovery goes on when a hold ends
	StandingBanned     = "banned"      // given up, and refused
	StandingSignedOut  = "signed-out"  // given up, and its devices signed out
	StandingSigningOut = "signing-out" // given up; the de-REGISTER is outstanding
	StandingRegistered = "registered"  // given up, and left registered
)

// Ladders remembers what Recoveries shows.
func (e *Engine) Ladders() *ladder.Ladders { return e.ladders }

func (e *Engine) standing(aor string) (standing, hop string) {
	var s policy.State
	held := false
	e.with(aor, func(_ *engineShard, u *engineUser) {
		s, hop = u.state, e.outages.hopOf(u)
		over := s.Phase == policy.Idle || s.Phase == policy.Exhausted && (s.SignedOut || s.StaysRegistered)
		held = !over && e.outages.heldUp(u)
	})
	switch {
	case held:
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

// State returns the state of one user; false if nothing is known of it.
func (e *Engine) State(aor string) (StateView, bool) {
	s, ok := e.look(aor)
	return StateView{AOR: aor, State: s, Of: e.cfg.Rules.Threshold}, ok
}

// Client is what has become of the subscriptions of one family of clients.
type Client struct {
	// Failures counts those that broke, Returns those that came back, by what brought them
	// back. The others have not come back.
	Failures uint64
	Returns  [policy.ByItself + 1]uint64
}

// Returned implements dialogs.Recovery.
func (e *Engine) Returned(userAgent string, by policy.By) {
	e.metrics.returns[by].Inc()
	e.clients.Change(userAgent, func(c *Client) { c.Returns[by]++ })
}

// Clients tells how often the subscriptions of each family of clients broke and came back.
func (e *Engine) Clients() map[string]Client { return e.clients.All() }
