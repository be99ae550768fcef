package dialogs

import "sync/atomic"

// DryRun says whether rewatch only observes. All parts share one value, which an operator can
// change at run time. Nil is off.
type DryRun struct{ on atomic.Bool }

// NewDryRun returns a DryRun that is on or off.
func NewDryRun(on bool) *DryRun {
	d := &DryRun{}
	d.on.Store(on)
	return d
}

// On says whether rewatch only observes. It is one atomic load.
func (d *DryRun) On() bool { return d != nil && d.on.Load() }

// Set turns the dry run on or off.
func (d *DryRun) Set(on bool) { d.on.Store(on) }
