package outage

import "time"

// scope is one hop, or all of them, with its state.
type scope struct {
	name   string
	state  State
	window window
	streak streak
	// silence is what tells of an outage before the window does.
	silence silence
	// failedAt is the last failure that was judged; uneasy since when more fail
	// than on any other day, zero if they do not.
	failedAt, uneasy time.Time

	since    time.Time // from when on failures are the outage's
	released time.Time // the last release; NOTIFYs sent before it are excused
	relapses int

	probeAt time.Time // when held: the next probe
	probes  int       // sent in this hold
	failing string    // hop of the last failure

	trialAt, trialEnd        time.Time
	trialPassed, trialFailed int
	probeOnly                bool // no NOTIFY has passed in the trial
	judgedFailed, judgedOf   int  // what the hold was judged by
}

// hold begins a hold. One that follows soon upon a release is the same outage.
func (s *scope) hold(r Rules, at time.Time, counted bucket, why Reason) Change {
	relapse := !s.released.IsZero() && at.Sub(s.released) < r.Relapse
	if relapse {
		s.relapses++
	} else {
		s.relapses = 0
		s.since = s.began(r, at, counted.sent)
	}
	s.judgedFailed, s.judgedOf = counted.failed, counted.failed+counted.passed
	s.probes = 0
	s.nextProbe(r, at)
	return s.become(Held, at, why)
}

// began is since when failures are the outage's that is noticed now: since the
// first NOTIFY was sent that is to blame for it, or since things got worse.
func (s *scope) began(r Rules, at time.Time, sent int64) time.Time {
	since := at.Add(-r.Window)
	if first := time.Unix(0, sent); sent != 0 && first.Before(since) {
		since = first
	}
	if !s.uneasy.IsZero() && s.uneasy.Before(since) {
		since = s.uneasy
	}
	if most := at.Add(-r.Relapse); since.Before(most) {
		return most
	}
	return since
}

// uneasyShare is the part of Rules.Ratio above which more fail than on other days.
const uneasyShare = 0.2

// worry takes note of a failure, after which the window holds this. An outage may
// begin slowly; those who failed before it passed the ratio are innocent as well.
func (s *scope) worry(r Rules, at time.Time, sum *bucket) {
	switch {
	case !over(sum.failed, sum.failed+sum.passed, r.Ratio*uneasyShare):
		s.uneasy = time.Time{}
	case s.uneasy.IsZero() || at.Sub(s.failedAt) > r.Window:
		s.uneasy = at.Add(-r.Window)
	}
	s.failedAt = at
}

func (s *scope) become(to State, at time.Time, why Reason) Change {
	c := Change{
		Scope: s.name, From: s.state, To: to, Reason: why, At: at, Since: s.since,
		Failed: s.judgedFailed, Total: s.judgedOf, Relapses: s.relapses, Hop: s.probed(),
	}
	s.state = to
	return c
}

// probed is the hop that is probed.
func (s *scope) probed() string {
	if s.name == Overall {
		return s.failing
	}
	return s.name
}

// nextProbe sets when the next probe is due. The pause is shortened by up to a
// quarter, so that several replicas do not probe in step.
func (s *scope) nextProbe(r Rules, at time.Time) {
	pause := double(r.ProbeMin, s.probes, r.ProbeMax)
	var seed uint64
	for _, c := range []byte(s.name) {
		seed = mix(seed ^ uint64(c))
	}
	seed = mix(seed ^ uint64(at.UnixNano()))                          //nolint:gosec // only for jitter
	s.probeAt = at.Add(pause - time.Duration(seed%uint64(pause/4+1))) //nolint:gosec // positive
}

// alive takes a sign of life. The first one begins a trial, and a NOTIFY shortens
// the trial that a mere probe began.
func (s *scope) alive(r Rules, at time.Time, why Reason) (Change, bool) {
	trial := double(r.Trial, s.relapses, r.TrialMax)
	first := s.state == Held
	switch {
	case why == ReasonProbe && !first:
		return Change{}, false
	case why == ReasonProbe:
		s.probeOnly = true
		if s.relapses > 0 {
			trial = max(trial, r.Silence)
		}
	case first:
		s.probeOnly = false
	case s.probeOnly:
		s.probeOnly = false
		if end := at.Add(trial); end.Before(s.trialEnd) {
			s.trialEnd = end
		}
	}
	if !first {
		return Change{}, false
	}
	s.trialAt, s.trialEnd = at, at.Add(trial)
	s.trialPassed, s.trialFailed = 0, 0
	return s.become(Probing, at, why), true
}

// pass counts NOTIFYs that got through.
func (s *scope) pass(at time.Time, epoch int64, n int) {
	s.window.pass(epoch, n)
	s.streak = streak{}
	s.silence.pass(at)
}

// passed takes NOTIFYs that got through while the scope is held.
func (s *scope) passed(r Rules, at time.Time, n int) (Change, bool) {
	c, ok := s.alive(r, at, ReasonNotify)
	s.trialPassed += n
	return c, ok
}

// failed takes a NOTIFY that failed while the scope is held. It speaks against
// the scope only if it was sent after the first sign of life.
func (s *scope) failed(o Outcome) {
	s.failing = o.Hop
	if s.state == Probing && !o.Sent.Before(s.trialAt) {
		s.trialFailed++
	}
}

// settle ends a trial whose time is over: released, or held on.
func (s *scope) settle(r Rules, at time.Time) (Change, bool) {
	if s.state != Probing || at.Before(s.trialEnd) {
		return Change{}, false
	}
	s.judgedFailed, s.judgedOf = s.trialFailed, s.trialFailed+s.trialPassed
	if over(s.judgedFailed, s.judgedOf, r.Ratio) {
		s.nextProbe(r, at)
		return s.become(Held, at, ReasonTrialFailed), true
	}
	// What the window holds is the outage's.
	s.forget()
	s.silence.pass(at)
	s.released = at
	return s.become(Closed, at, ReasonTrialPassed), true
}

// forget starts to count anew.
func (s *scope) forget() {
	s.window, s.streak, s.uneasy = window{}, streak{}, time.Time{}
	s.silence.forget()
}

// due is when a scope that is held needs a Tick.
func (s *scope) due() time.Time {
	if s.state == Probing {
		return s.trialEnd
	}
	return s.probeAt
}

// over says whether the share of failures is too high.
func over(failed, total int, ratio float64) bool {
	return float64(failed) > ratio*float64(total)
}

// double returns d doubled n times, but no more than most.
func double(d time.Duration, n int, most time.Duration) time.Duration {
	for ; n > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}
