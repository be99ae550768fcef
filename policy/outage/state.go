package outage

import (
	"fmt"
	"time"
)

// Overall is the scope of all hops together.
const Overall = ""

// State is where a scope stands.
type State uint8

const (
	// Closed means no outage; failures are judged.
	Closed State = iota
	// Held means an outage; the hop is probed.
	Held
	// Probing means that something got through; held still, for a trial.
	Probing
)

func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Held:
		return "held"
	case Probing:
		return "probing"
	default:
		return fmt.Sprintf("unknown(%d)", uint8(s))
	}
}

// Reason says why a scope changed its state.
type Reason string

// The reasons, as they appear in the log and the alarm.
const (
	ReasonRatio       Reason = "ratio"        // too many failures: held
	ReasonSilence     Reason = "silence"      // nothing gets through any more: held
	ReasonUnreachable Reason = "unreachable"  // the hop cannot be reached: held
	ReasonProbe       Reason = "probe"        // a probe was answered: on trial
	ReasonNotify      Reason = "notify"       // a NOTIFY got through: on trial
	ReasonTrialFailed Reason = "trial-failed" // failures during the trial: held on
	ReasonTrialPassed Reason = "trial-passed" // released
)

// Outcome is what became of one NOTIFY.
type Outcome struct {
	At time.Time
	// Sent is when the NOTIFY was sent, which tells a failure that the outage
	// caused from one that came after it.
	Sent    time.Time
	Hop     string
	Watcher uint64 // a hash of the watcher's address of record
	OK      bool
}

// Change is one change of the state of one scope.
type Change struct {
	Scope    string // a hop, or Overall
	From, To State
	Reason   Reason
	At       time.Time
	// Since is the time from which on failures are the outage's; strikes that
	// were counted later than that have to be given back.
	Since time.Time
	// Failed and Total are the NOTIFYs that the change was judged by.
	Failed, Total int
	// Relapses counts the releases of this outage that were wrong.
	Relapses int
	// Hop is the one that is probed: of Overall, that of the last failure.
	Hop string
}

// Probe is an OPTIONS to be sent. Hop is the scope itself, or for Overall the
// hop of the last failure.
type Probe struct{ Scope, Hop string }
