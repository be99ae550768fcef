package monitor

import (
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/outcome"
)

// NotifyDone is told how the transaction of a NOTIFY ended, and says how the server is
// answered. A 2xx takes one lock and allocates nothing.
func (m *Monitor) NotifyDone(ref dialogs.Ref, o dialogs.Outcome) dialogs.Verdict {
	if ref == 0 {
		return m.asItCame(&o) // Notify has counted it
	}
	m.routing(ref, &o)
	sh := &m.subs[shardOf(ref)]
	var j judgement
	sh.mu.Lock()
	m.judge(sh, ref, &o, &j)
	sh.mu.Unlock()
	m.follow(&j, &o)
	return j.verdict
}

// finding says what follows from the end of a NOTIFY.
type finding uint8

const (
	nothingFollows finding = iota // also after a failure, which Announce reports
	gotThrough                    // a 2xx that the Engine wants to know
	hasEnded                      // the subscription has
	cameLate                      // a 2xx after the verdict
	isIgnored                     // no failure
)

// judgement is what the end of a NOTIFY means, found under the lock of its shard.
type judgement struct {
	finding finding
	verdict dialogs.Verdict
	sub     subscription // as it is now
	why     ignored      // of isIgnored
	alive   bool         // the subscription had failed and goes on
	witness bool         // of isIgnored: it shows that the path may be broken
}

// judge judges the end of a NOTIFY by the state of its subscription. The shard is locked.
func (m *Monitor) judge(sh *subShard, ref dialogs.Ref, o *dialogs.Outcome, j *judgement) {
	j.verdict = m.asItCame(o)
	s, slot := sh.lookup(ref)
	if s == nil {
		if !o.Late {
			j.finding, j.why = isIgnored, ignoredStale
		}
		return
	}
	if o.Early {
		m.early(sh, slot, o, j)
		return
	}
	m.metrics.observe(s, o)
	wasOpen := m.redelivers() && s.openCSeq == o.CSeq && !o.Late
	if wasOpen {
		s.openCSeq = 0
	}
	switch {
	case o.Late:
		m.late(sh, slot, o, j)
	case s.terminated && s.terminatedCSeq == o.CSeq:
		j.finding, j.sub = hasEnded, *s
		sh.endings.note(s, instant(o.At).Add(m.linger))
		m.remove(sh, slot)
		if outcome.IsOK(o) {
			sh.hops.Add(o.Hop, instant(o.At), uint64(j.sub.user))
		}
	case outcome.IsOK(o):
		m.passed(sh, slot, o, j)
	default:
		m.unsuccessful(sh, slot, o, j)
		if wasOpen && j.finding == isIgnored && j.why != ignoredKept {
			m.parcels.closed(sh, slot, instant(o.At))
		}
	}
}

// asItCame relays the response. If there is none, the timer of the server expires: a proxy
// never sends 408 (RFC 4320 4.2).
func (r *rules) asItCame(o *dialogs.Outcome) dialogs.Verdict {
	return dialogs.Verdict{Relay: o.Kind == dialogs.Responded || r.cfg.DryRun.On()}
}

// observe measures the duration of a NOTIFY, if it is the newest one of its subscription.
func (mm *monitorMetrics) observe(s *subscription, o *dialogs.Outcome) {
	if !o.Late && s.sent != 0 && s.notifyCSeq == o.CSeq {
		mm.seconds.Observe(max(0, time.Duration(instant(o.At).UnixNano()-s.sent).Seconds()))
	}
}

// passed is a 2xx.
func (m *Monitor) passed(sh *subShard, slot uint32, o *dialogs.Outcome, j *judgement) {
	s := sh.subs.At(slot)
	s.answered = s.answered || s.notifyCSeq == o.CSeq && s.transaction != 0
	if s.phase == active && !s.proven {
		m.prove(s)
		m.note(sh, slot)
	}
	if s.signedOut == notifiedSince && s.notifyCSeq == o.CSeq {
		s.signedOut = notSignedOut
		m.note(sh, slot)
	}
	m.parcels.phoneHas(sh, slot, o.CSeq, instant(o.At))
	sh.stopWaiting(slot)
	if s.phase == active && s.failed {
		// The server has kept a subscription that had failed, and a NOTIFY succeeds: it
		// works again without a new SUBSCRIBE.
		j.alive, s.failed = true, false
		m.note(sh, slot)
		if s.headKept {
			m.dropHead(sh, slot, s)
		}
	}
	sh.hops.Add(o.Hop, instant(o.At), uint64(s.user))
	m.metrics.ok[s.label].Inc()
	// A fetch, or the last NOTIFY of a watcher that leaves, proves no recovery.
	if s.phase == active && s.signedOut == notSignedOut && m.rec.Interested(s.watcher()) {
		j.finding, j.sub = gotThrough, *s
	}
}

// unsuccessful judges an outcome that is no 2xx by the state of the subscription.
func (m *Monitor) unsuccessful(sh *subShard, slot uint32, o *dialogs.Outcome, j *judgement) {
	s := sh.subs.At(slot)
	w := outcome.Of(o, m.cfg.FailureRFC)
	j.finding, j.sub = isIgnored, *s
	switch {
	case s.over(instant(o.At).UnixNano()):
		j.why = ignoredEnded
	case s.phase == dead:
		// It was open when another NOTIFY failed. The server gets the same answer again.
		j.why = ignoredDead
		j.verdict, _ = m.answer(o)
	case w == outcome.Challenge:
		j.why = ignoredChallenge
	case m.spares(s.watcher()):
		j.why, j.witness = ignoredScope, w == outcome.Failure
	case m.replaced(s, o), sh.declined(s, o):
		// The client was restarted, or has moved. Only the server is told.
		j.why = ignoredSuperseded
		m.undeliver(sh, slot)
		m.end(s, instant(o.At))
		m.note(sh, slot)
		j.verdict, _ = m.answer(o)
	case m.parcels.keep(sh, slot, o.CSeq, o.Parcel, o, instant(o.At)):
		j.why, j.verdict, j.witness = ignoredKept, isKept, true
	case w == outcome.Temporary:
		j.why = ignoredTemporary
		m.wait(sh, slot, o)
	case w == outcome.Harmless:
		j.why = ignoredTransaction
	default:
		m.fail(sh, slot, *o, j)
	}
}
