package monitor

import (
	"bytes"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/count"
	"rewatch/dialogs/monitor/outcome"
	"rewatch/dialogs/redelivery"
)

// waiting is a temporary failure. It becomes a failure at its deadline, unless a NOTIFY of the
// subscription is answered with a 2xx before.
type waiting struct {
	deadline int64           // Unix nanoseconds
	outcome  dialogs.Outcome // without Head, and with a copy of Reason
	head     []byte
}

// Bounds of the heads kept for Termination, in bytes and in number. In an outage more NOTIFYs
// fail than are ever terminated.
const (
	maxHead  = 8 << 10
	maxHeads = 8192
)

const goneText = "481 " + goneReason

// wait begins the wait after a temporary failure. A further one does not prolong it.
func (m *Monitor) wait(sh *subShard, slot uint32, o *dialogs.Outcome) {
	s := sh.subs.At(slot)
	if s.waiting {
		return
	}
	s.waiting = true
	w := waiting{
		deadline: instant(o.At).Add(outcome.RetryAfter(o) + m.linger).UnixNano(),
		outcome:  *o,
	}
	w.outcome.Head = nil
	w.outcome.Reason = []byte(outcome.Printable(o.Reason, outcome.MaxCause))
	switch {
	case !m.cfg.SignalNotify || len(o.Head) == 0:
	case len(o.Head) <= maxHead && len(sh.waiting) < maxHeads/shards:
		w.head = bytes.Clone(o.Head)
	default:
		m.forgotten[count.ForgottenHead].Inc()
	}
	sh.waiting[slot] = w
}

// gaveOut ends such a wait at its deadline; the lock of sh is held. What it returns is called
// without the lock. The server has had its response; its next NOTIFY finds the dialog dead.
func (m *Monitor) gaveOut(sh *subShard, slot uint32, at time.Time) func() {
	s := sh.subs.At(slot)
	w := sh.waiting[slot]
	sh.stopWaiting(slot)
	if s.over(at.UnixNano()) || s.phase == dead || m.replaced(s, &w.outcome) {
		return nil
	}
	o := w.outcome
	o.At, o.Head = at, w.head
	m.strike(sh, slot, &o)
	c, ref := *s, sh.ref(slot)
	return func() {
		m.announceFailure(c, o, "")
		m.toldEngine(ref)
	}
}

// fail declares a NOTIFY failed. The shard is locked.
func (m *Monitor) fail(sh *subShard, slot uint32, o dialogs.Outcome, j *judgement) {
	s := sh.subs.At(slot)
	sh.stopWaiting(slot)
	m.strike(sh, slot, &o)
	v, said := m.answer(&o)
	o.Head, o.Reason = nil, bytes.Clone(o.Reason)
	j.finding, j.verdict = nothingFollows, v
	sh.unannounced[failureKey{sh.ref(slot), o.CSeq}] = failure{*s, o, said}
}

// failureKey names the NOTIFY that failed.
type failureKey struct {
	ref  dialogs.Ref
	cseq uint32
}

// failure is what the Engine is told of a NOTIFY that failed.
type failure struct {
	subscription subscription
	outcome      dialogs.Outcome // with a copy of Reason
	said         string          // the answer to the server
}

// Announce tells the Engine of the failure that NotifyDone has found, if any. It is called
// after the answer to the server was sent, so that no action overtakes that.
func (m *Monitor) Announce(ref dialogs.Ref, cseq uint32) {
	if ref == 0 {
		return
	}
	sh, key := &m.subs[shardOf(ref)], failureKey{ref, cseq}
	sh.mu.Lock()
	f, failed := sh.unannounced[key]
	delete(sh.unannounced, key)
	sh.mu.Unlock()
	if failed {
		m.announceFailure(f.subscription, f.outcome, f.said)
		m.toldEngine(ref)
	}
}

// strike counts a failed NOTIFY and marks its subscription. The dialog is dead, but with
// REWATCH_ANSWER=passthrough only if the response ends it. The shard is locked.
func (m *Monitor) strike(sh *subShard, slot uint32, o *dialogs.Outcome) {
	s := sh.subs.At(slot)
	s.failed, s.failedCSeq = true, o.CSeq
	s.untold++
	m.metrics.failed[s.label].Inc()
	m.metrics.failures.WithLabelValues(outcome.Label(o)).Inc()
	m.unkeep(sh, slot, redelivery.GivenBack)
	if !m.cfg.DryRun.On() && (m.cfg.Answer != AnswerPassthrough || outcome.KillsDialog(o)) {
		m.exit(s)
		s.phase = dead
	}
	if m.cfg.SignalNotify && !outcome.KillsDialog(o) {
		m.keepHead(sh, slot, o.Head)
	}
	us, _ := m.userShard(s.watcher())
	us.mu.Lock()
	us.toFront(s.node)
	us.mu.Unlock()
}

// answer is what the server gets after a failure, and how the ladder shows it.
func (r *rules) answer(o *dialogs.Outcome) (v dialogs.Verdict, said string) {
	switch {
	case r.cfg.DryRun.On():
		if r.cfg.Answer != AnswerPassthrough {
			r.dryRun.Did(count.DryAnswer)
		}
		return dialogs.Verdict{Relay: true}, ""
	case r.cfg.Answer == AnswerPassthrough:
		return dialogs.Verdict{Relay: true}, ""
	case r.cfg.Answer == AnswerSilent:
		return dialogs.Verdict{}, ""
	case o.Kind == dialogs.Responded && o.Status == goneStatus:
		return dialogs.Verdict{Relay: true}, goneText
	default:
		return dialogs.Verdict{Status: goneStatus, Reason: goneReason}, goneText
	}
}

// late handles a final response after the verdict: a 2xx calls the recovery off. A server
// that was answered does not get it; one that was not may still accept it, until its own
// timer has ended the subscription.
func (m *Monitor) late(sh *subShard, slot uint32, o *dialogs.Outcome, j *judgement) {
	s := sh.subs.At(slot)
	told := m.cfg.Answer == Answer481 && !m.cfg.DryRun.On() && (s.failed || !m.spares(s.watcher()))
	j.verdict = dialogs.Verdict{Relay: !told}
	if s.undelivered {
		j.verdict = dialogs.Verdict{} // the server has its 200
	}
	if outcome.IsOK(o) {
		m.parcels.phoneHas(sh, slot, o.CSeq, instant(o.At))
	} else {
		m.parcels.closed(sh, slot, instant(o.At))
	}
	if !outcome.IsOK(o) || !s.failed {
		return
	}
	s.failed = false
	key := failureKey{sh.ref(slot), o.CSeq}
	if _, untold := sh.unannounced[key]; untold {
		delete(sh.unannounced, key)
		s.untold--
	}
	if s.headKept {
		m.dropHead(sh, slot, s)
	}
	j.alive = !told && s.notifyCSeq == o.CSeq && instant(o.At).UnixNano()-s.sent < int64(m.linger)
	if s.phase == dead && !told && !s.usedCSeq {
		m.confirm(s)
	}
	m.note(sh, slot)
	j.finding, j.sub = cameLate, *s
}

// Termination implements Directory. After it the CSeqs of rewatch and of the server differ,
// so further NOTIFYs of the server get 481.
func (t *Table) Termination(aor, callID, event string) (dialogs.TerminateJob, bool) {
	sh, hash := t.callShard([]byte(callID))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	slot := sh.first(hash, func(s *subscription) bool {
		return s.headKept && s.callID() == callID && s.event() == event && s.watcher() == aor
	})
	if slot == 0 {
		return dialogs.TerminateJob{}, false
	}
	s := sh.subs.At(slot)
	job := dialogs.TerminateJob{Head: sh.heads[slot], CSeq: s.notifyCSeq + 1}
	t.dropHead(sh, slot, s)
	if !t.cfg.DryRun.On() {
		t.exit(s)
		s.phase, s.usedCSeq = dead, true
		t.note(sh, slot)
	}
	return job, true
}

func (t *Table) keepHead(sh *subShard, slot uint32, head []byte) {
	s := sh.subs.At(slot)
	if len(head) == 0 || len(head) > maxHead {
		return
	}
	if !s.headKept {
		if t.heads.Add(1) > maxHeads {
			t.heads.Add(-1)
			t.forgotten[count.ForgottenHead].Inc()
			return
		}
		s.headKept = true
	}
	sh.heads[slot] = bytes.Clone(head)
}

// dropHead frees the room of a kept head.
func (r *room) dropHead(sh *subShard, slot uint32, s *subscription) {
	s.headKept = false
	delete(sh.heads, slot)
	r.heads.Add(-1)
}
