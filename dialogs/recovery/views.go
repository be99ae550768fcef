package recovery

import (
	"cmp"
	"slices"

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
func (e *Engine) Recoveries() []ladder.View { return e.ladders.Views() }

// State returns the state of one user; false if nothing is known of them.
func (e *Engine) State(aor string) (StateView, bool) {
	s, ok := e.look(aor)
	return viewOf(aor, s, e.cfg.Rules.Threshold), ok
}

// States returns the state of every user of whom anything is known, by AOR. Its
// slices are shared and must not be changed.
func (e *Engine) States() []StateView {
	views := make([]StateView, 0, e.known.Load())
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for aor, u := range sh.users {
			views = append(views, viewOf(aor, u.state, e.cfg.Rules.Threshold))
		}
		sh.mu.Unlock()
	}
	slices.SortFunc(views, func(a, b StateView) int { return cmp.Compare(a.AOR, b.AOR) })
	return views
}

func viewOf(aor string, s policy.State, threshold int) StateView {
	return StateView{AOR: aor, State: s, Of: threshold}
}
