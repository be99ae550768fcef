package recovery

import (
	"cmp"
	"slices"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/hold"
)

// Blame is Failed, after the failure was found to be its user's.
func (e *Engine) Blame(f dialogs.Failure) { e.blame(f, hold.Name(f.Hop)) }

// Lose is Failed, after the failure was found to be an outage's.
func (e *Engine) Lose(f dialogs.Failure) { e.outages.lose(&f, hold.Name(f.Hop), false) }

// States returns the state of every user of whom anything is known, by AOR. Its
// slices are shared and must not be changed.
func (e *Engine) States() []StateView {
	views := make([]StateView, 0, e.known.Load())
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for aor, u := range sh.users {
			views = append(views, StateView{AOR: aor, State: u.state, Of: e.cfg.Rules.Threshold})
		}
		sh.mu.Unlock()
	}
	slices.SortFunc(views, func(a, b StateView) int { return cmp.Compare(a.AOR, b.AOR) })
	return views
}
