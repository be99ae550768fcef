package monitor

import (
	"bytes"
	"time"

	"rewatch/dialogs"
	"rewatch/policy"
)

// Notify is told of a NOTIFY from the server, once per transaction, before it
// is forwarded. The way of a known subscription takes one lock and allocates
// nothing.
func (m *Monitor) Notify(msg *dialogs.Message) (dialogs.Ref, dialogs.Ruling) {
	id := notifyID(msg)
	if msg.Side != dialogs.Server || !m.recovers(id.Package) {
		m.metrics.ignore(labelOf(id.Package), ignoredPackage)
		return 0, dialogs.Ruling{}
	}
	at := instant(msg.At)
	now := parseState(msg.SubscriptionState)
	hash := m.hashBytes(id.CallID)
	sh := m.subShard(hash)
	sh.mu.Lock()
	slot := sh.find(hash, m.identity(&id))
	if slot == 0 {
		return m.notifyUnknown(sh, hash, msg, &id, now, at) // unlocks
	}
	s := sh.subs.At(slot)
	if s.phase == dead {
		label, taken := s.label, s.taken
		sh.mu.Unlock()
		m.metrics.ignore(label, ignoredDead)
		return 0, m.gone(taken)
	}
	if s.answered && s.notifyCSeq == msg.CSeq && s.transaction == transactionOf(msg) {
		sh.mu.Unlock()
		return 0, dialogs.Ruling{Again: true}
	}
	changes := s.phase == requested || now.terminated
	if s.phase == requested {
		m.confirm(s) // by a refresh whose 2xx is still under way
	}
	m.notified(s, msg, now, at)
	if changes {
		m.note(sh, slot)
	}
	ref := makeRef(sh.number, slot, s.generation)
	sh.mu.Unlock()
	return ref, dialogs.Ruling{}
}

// gone is the answer to a NOTIFY in a dead dialog, should the server have kept
// it. One that rewatch has itself ended with a NOTIFY cannot go on even where
// the server is to see nothing but silence.
func (m *Monitor) gone(taken bool) dialogs.Ruling {
	if m.cfg.Answer == AnswerSilent && !taken {
		return dialogs.Ruling{Silent: true}
	}
	return dialogs.Ruling{Status: goneStatus, Reason: goneReason}
}

// transactionOf is the part of a transaction's hash that a subscription keeps: with
// the CSeq, which no two NOTIFYs of a dialog share, it is more than enough.
func transactionOf(msg *dialogs.Message) uint32 { return uint32(msg.Transaction >> 32) } // #nosec G115 -- see above

// notified notes that a NOTIFY passes.
func (m *Monitor) notified(s *subscription, msg *dialogs.Message, now state, at time.Time) {
	s.sent = at.UnixNano()
	s.notifyCSeq = msg.CSeq
	s.transaction, s.answered = transactionOf(msg), false
	switch {
	case now.terminated:
		// It ends when this transaction does (RFC 6665 4.4.1).
		m.end(s, at)
		s.terminated, s.terminatedCSeq = true, msg.CSeq
	case s.phase != active:
	case now.expires >= 0:
		s.lasts(s.sent, now.expires, m.linger)
	case s.expires == 0:
		s.lasts(s.sent, assumedExpires, m.linger)
	}
}

// notifyUnknown makes the dialog of a NOTIFY that comes before the 2xx to its
// SUBSCRIBE, or from a fork, or that is older than this process. It gives the
// lock of sh free.
func (m *Monitor) notifyUnknown(sh *subShard, hash uint64, msg *dialogs.Message, id *ID, now state, at time.Time) (dialogs.Ref, dialogs.Ruling) {
	slot := m.makeDialog(sh, hash, msg, id)
	if slot == 0 {
		sh.mu.Unlock()
		m.metrics.ignore(labelOf(id.Package), ignoredUntracked)
		return 0, dialogs.Ruling{}
	}
	s := sh.subs.At(slot)
	if s.phase == requested && !now.terminated {
		m.confirm(s)
	}
	if s.expires == 0 && s.asked > 0 {
		s.lasts(at.UnixNano(), int(s.asked), m.linger)
	}
	m.notified(s, msg, now, at)
	announce := s.announce() && m.rec.Interested(s.watcher())
	if announce {
		s.unheard++
	} else {
		m.note(sh, slot)
	}
	c := *s
	ref := makeRef(sh.number, slot, s.generation)
	sh.mu.Unlock()
	if announce {
		m.subscribed(&c, ref, at)
	}
	return ref, dialogs.Ruling{}
}

// makeDialog finds the SUBSCRIBE of an unknown dialog, or a fork of it, or else
// takes the NOTIFY's word: it alone tells who watches what (To, From, Event).
func (m *Monitor) makeDialog(sh *subShard, hash uint64, msg *dialogs.Message, id *ID) uint32 {
	if why := id.check(); why != tracked {
		m.untracked[why].Inc()
		return 0
	}
	if len(id.NotifierTag) == 0 {
		m.untracked[untrackedMalformed].Inc()
		return 0
	}
	fork := sh.first(hash, func(s *subscription) bool { return s.notifierTag() == "" && s.sameDialogs(id) })
	if fork == 0 {
		fork = sh.first(hash, func(s *subscription) bool { return s.initial && s.sameDialogs(id) })
	}
	if fork != 0 {
		return m.adopt(sh, hash, fork, id.NotifierTag)
	}
	if sh.adrift(hash, id) {
		m.untracked[untrackedCall].Inc()
		return 0
	}
	if msg.Veiled { // what is claimed there is not to be held against its user
		m.untracked[untrackedVeiled].Inc()
		return 0
	}
	watcher, ok := m.spelled(msg.ToURI)
	if !ok {
		m.untracked[untrackedMalformed].Inc()
		return 0
	}
	// The Request-URI is the Contact of the SUBSCRIBE (RFC 3261 12.2.1.1).
	s, ok := m.describe(id, hash, watcher, msg.FromURI, msg.RequestURI, deviceAt(msg.RequestURI))
	if !ok {
		return 0
	}
	s.emergency = hasFlag(msg.RequestURI, "sos")
	s.announced = true
	if instant(msg.At).UnixNano() < m.lapse {
		s.announced, s.initial, s.birth = false, true, m.births.Add(1)
	}
	return m.add(sh, s, msg)
}

// NotifyDone is told how the transaction of a NOTIFY ended, and says what the
// server is to be answered. A 2xx takes one lock and allocates nothing.
func (m *Monitor) NotifyDone(ref dialogs.Ref, o dialogs.Outcome) dialogs.Verdict {
	if ref == 0 {
		return m.asItCame(&o) // counted when it passed
	}
	m.routing(&o)
	sh := &m.subs[shardOf(ref)]
	sh.mu.Lock()
	s, slot := sh.lookup(ref)
	if s == nil {
		sh.mu.Unlock()
		if !o.Late {
			m.metrics.ignore(0, ignoredStale)
		}
		return m.asItCame(&o)
	}
	m.observe(s, &o)
	switch {
	case o.Late:
		return m.late(sh, slot, o) // these unlock
	case s.terminated && s.terminatedCSeq == o.CSeq:
		return m.completed(sh, slot, o)
	case isOK(&o):
		return m.passed(sh, slot, o)
	default:
		return m.unsuccessful(sh, slot, o)
	}
}

// asItCame relays a response, and leaves a server that got none to its timer: a
// proxy never answers 408 (RFC 4320 4.2).
func (m *Monitor) asItCame(o *dialogs.Outcome) dialogs.Verdict {
	return dialogs.Verdict{Relay: o.Kind == dialogs.Responded || m.cfg.DryRun}
}

// observe measures the NOTIFY, if it is the subscription's last one.
func (m *Monitor) observe(s *subscription, o *dialogs.Outcome) {
	if !o.Late && s.sent != 0 && s.notifyCSeq == o.CSeq {
		m.metrics.seconds.Observe(max(0, time.Duration(instant(o.At).UnixNano()-s.sent).Seconds()))
	}
}

// routing tells of a broken path, whatever the NOTIFY is worth to its watcher.
func (m *Monitor) routing(o *dialogs.Outcome) {
	if m.cfg.RoutingFault != nil && rowOf(o).routing {
		m.cfg.RoutingFault(o.Hop, o.Status)
	}
}

// passed is a 2xx.
func (m *Monitor) passed(sh *subShard, slot uint32, o dialogs.Outcome) dialogs.Verdict {
	s := sh.subs.At(slot)
	s.answered = s.answered || s.notifyCSeq == o.CSeq && s.transaction != 0
	if s.phase == active && !s.proven {
		m.prove(s)
		m.note(sh, slot)
	}
	if s.signedOut != 0 && s.notifyCSeq == o.CSeq && s.sent > s.signedOut {
		s.signedOut = 0
		m.note(sh, slot)
	}
	if s.waiting {
		s.waiting = false
		delete(sh.waiting, slot)
	}
	kind := policy.NotifyOK
	if s.phase == active && s.failed {
		// The server has kept a subscription that had failed, and it goes on:
		// what was broken is whole again, without a new SUBSCRIBE.
		kind = policy.LateOK
		s.failed = false
		m.note(sh, slot)
		if s.headKept {
			m.dropHead(sh, slot, s)
		}
	}
	sh.through(o.Hop)
	c := *s
	sh.mu.Unlock()
	m.metrics.ok[c.label].Inc()
	// A fetch, or the last NOTIFY of one who leaves, proves no recovery.
	if c.phase == active && c.signedOut == 0 && m.rec.Interested(c.watcher()) {
		m.tell(c, kind, o)
	}
	return dialogs.Verdict{Relay: true}
}

// tell offers an event of a subscription, and the NOTIFY to the ladder.
func (m *Monitor) tell(s subscription, kind policy.EventKind, o dialogs.Outcome) {
	m.rec.Offer(s.watcher(), policy.Event{
		Kind: kind, At: instant(o.At), Sub: s.broken(), Alive: kind == policy.LateOK,
	})
	m.ladder.notify(&s, &o)
	m.ladder.response(s.watcher(), instant(o.At), "core", "server", o.Status, o.Reason)
}

// completed is the end of a terminated NOTIFY, and with it of the subscription.
func (m *Monitor) completed(sh *subShard, slot uint32, o dialogs.Outcome) dialogs.Verdict {
	c := *sh.subs.At(slot)
	m.remove(sh, slot)
	if isOK(&o) {
		sh.through(o.Hop)
	}
	sh.mu.Unlock()
	if isOK(&o) {
		m.metrics.ok[c.label].Inc()
	} else {
		m.metrics.ignore(c.label, ignoredEnded)
	}
	if !c.fetch && !c.left && m.rec.Interested(c.watcher()) {
		m.rec.Offer(c.watcher(), policy.Event{Kind: policy.Ended, At: instant(o.At), Sub: c.broken()})
	}
	return m.asItCame(&o)
}

// unsuccessful weighs what is not a 2xx with the state of the subscription.
func (m *Monitor) unsuccessful(sh *subShard, slot uint32, o dialogs.Outcome) dialogs.Verdict {
	s := sh.subs.At(slot)
	w := worthOf(&o, m.cfg.FailureRFC)
	var why ignored
	switch {
	case s.over(instant(o.At).UnixNano()):
		why = ignoredEnded
	case s.phase == dead:
		// It was open when another one failed. The server hears the same again.
		label := s.label
		sh.mu.Unlock()
		m.metrics.ignore(label, ignoredDead)
		v, _ := m.answer(&o)
		return v
	case w == worthChallenge:
		why = ignoredChallenge
	case m.replaced(s, &o):
		// The client has started anew, or has moved. The server is told, nobody else.
		label := s.label
		m.end(s, instant(o.At))
		m.note(sh, slot)
		sh.mu.Unlock()
		m.metrics.ignore(label, ignoredSuperseded)
		v, _ := m.answer(&o)
		return v
	case w == worthWaiting:
		why = ignoredTemporary
		m.wait(sh, slot, &o)
	case w == worthLittle:
		why = ignoredTransaction
	default:
		return m.fail(sh, slot, o)
	}
	label := s.label
	sh.mu.Unlock()
	m.metrics.ignore(label, why)
	return m.asItCame(&o)
}

// printable bounds text of a peer for a MESSAGE, a log or a ladder.
func printable(b []byte, limit int) string {
	out := make([]byte, 0, min(len(b), limit))
	for _, c := range bytes.TrimSpace(b) {
		if len(out) == limit {
			break
		}
		if c >= ' ' && c < 0x7f {
			out = append(out, c)
		}
	}
	return string(out)
}
