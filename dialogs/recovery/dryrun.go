package recovery

import (
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/policy"
	"rewatch/policy/alarm"
)

// SetDryRun begins or ends a dry run. From its beginning on nothing is sent, whatever was
// decided before. What is decided in a dry run is not saved. At its end every user that was
// decided about is forgiven, so that none is given up for MESSAGEs that were never sent.
func (e *Engine) SetDryRun(on bool) {
	if on == e.cfg.DryRun.On() {
		return
	}
	e.log.Warn().Bool("on", on).Msg("dry run switched by hand")
	if on {
		e.cfg.DryRun.Set(true)
		return
	}
	// Once while nothing is sent, and once more for users who failed meanwhile, who cannot
	// have got further than their first MESSAGE.
	e.forgiveDry()
	e.cfg.DryRun.Set(false)
	e.forgiveDry()
	e.hold.RaiseAgain()
}

func (e *Engine) forgiveDry() {
	for sh := range e.each {
		for _, u := range sh.users {
			if u.dry {
				e.decide(sh, u, policy.Event{Kind: policy.Reset, At: time.Now()})
				u.dry = false
				sh.touch(u) // for what the store has
			}
		}
	}
}

// dryAlarms raises no alarm in a dry run, but logs what would be raised.
type dryAlarms struct {
	dialogs.Alarms
	dry *dialogs.DryRun
	log zerolog.Logger

	mu    sync.Mutex
	quiet map[[2]string]struct{} // what was not raised, by name and object
}

func (d *dryAlarms) Raise(a alarm.Alarm) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := [2]string{a.Name, a.Object}
	if d.dry.On() {
		d.quiet[key] = struct{}{}
		d.log.Info().Str("alarm", a.Name).Str("object", a.Object).Msg(a.Text)
		return
	}
	delete(d.quiet, key)
	d.Alarms.Raise(a)
}

func (d *dryAlarms) Clear(name, object string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := [2]string{name, object}
	if _, quiet := d.quiet[key]; quiet {
		delete(d.quiet, key)
		d.log.Info().Str("alarm", name).Str("object", object).Msg("the alarm is over")
		return
	}
	d.Alarms.Clear(name, object, at)
}

// dryLog marks each line of a dry run.
type dryLog struct{ dry *dialogs.DryRun }

func (d dryLog) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	if d.dry.On() {
		e.Bool("dry_run", true)
	}
}
