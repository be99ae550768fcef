package monitor

import (
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/ident"
)

// Notify is told of a NOTIFY from the server, once per transaction, before it is forwarded.
// The NOTIFY of a known subscription takes one lock and allocates nothing.
func (m *Monitor) Notify(msg *dialogs.Message) (dialogs.Ref, dialogs.Ruling) {
	id := ident.OfNotify(msg)
	if msg.Side != dialogs.Server || !m.recovers(id.Package) {
		m.metrics.ignore(labelOf(id.Package), ignoredPackage)
		return 0, dialogs.Ruling{}
	}
	at := instant(msg.At)
	sh, hash := m.callShard(id.CallID)
	sh.mu.Lock()
	n := m.notify(sh, hash, msg, &id, at)
	sh.mu.Unlock()
	if n.ignored {
		m.metrics.ignore(n.label, n.why)
	}
	if n.began != nil {
		m.subscribed(n.began, n.ref, at)
	}
	if n.failed != nil {
		n.failed()
	}
	return n.ref, n.ruling
}

// notification is what a NOTIFY means, found under the lock of its shard.
type notification struct {
	ref     dialogs.Ref
	ruling  dialogs.Ruling
	ignored bool
	label   eventLabel
	why     ignored
	began   *subscription // a new one, which the Engine has to be told; nil: none
	failed  func()        // to be called without the lock; nil unless it has failed at once
}

// notify finds the subscription of a NOTIFY. The shard is locked.
func (m *Monitor) notify(sh *subShard, hash uint64, msg *dialogs.Message, id *ident.ID, at time.Time) notification {
	slot := sh.find(hash, m.identity(id))
	if slot == 0 && m.isPast(sh, hash, id, at) {
		return notification{ignored: true, label: labelOf(id.Package), why: ignoredEnded}
	}
	if slot == 0 {
		return m.notifyUnknown(sh, hash, msg, id, at)
	}
	s := sh.subs.At(slot)
	if s.phase == dead {
		return notification{ruling: m.gone(s.usedCSeq), ignored: true, label: s.label, why: ignoredDead}
	}
	if s.answered && s.notifyCSeq == msg.CSeq && s.transaction == transactionOf(msg) {
		return notification{ruling: dialogs.Ruling{Again: true}}
	}
	if msg.State.Terminated { // it makes NOTIFYs before it superfluous
		m.undeliver(sh, slot)
	} else if m.parcels.inLine(sh, slot, msg, at) {
		return m.queue(sh, slot, msg, at)
	}
	if s.overtaken(msg, at, m.linger) {
		return notification{ruling: dialogs.Ruling{Again: true}}
	}
	changes := s.phase == requested || msg.State.Terminated
	if s.phase == requested {
		m.confirm(s) // the 2xx to a refresh is still under way
	}
	m.notified(s, msg, at)
	m.parcels.opens(sh, slot, msg)
	if changes {
		m.note(sh, slot)
	}
	return notification{ref: sh.ref(slot)}
}

// isPast says whether an unknown dialog has ended lately, or never began, because the server has
// refused the SUBSCRIBE that it would come from.
func (t *Table) isPast(sh *subShard, hash uint64, id *ident.ID, at time.Time) bool {
	if sh.endings.has(t.identity(id), at) {
		return true
	}
	refused := *id
	refused.NotifierTag = nil
	return sh.endings.has(t.identity(&refused), at) && sh.first(hash, func(s *subscription) bool { return s.sameDialogs(id) }) == 0
}

// gone is the answer to a NOTIFY in a dead dialog, which the server has kept. taken: rewatch
// has sent a NOTIFY in the dialog itself, so 481 is sent with REWATCH_ANSWER=silent, too.
func (r *rules) gone(taken bool) dialogs.Ruling {
	if r.cfg.Answer == AnswerSilent && !taken {
		return dialogs.Ruling{Silent: true}
	}
	return dialogs.Ruling{Status: goneStatus, Reason: goneReason}
}

// overtaken says whether a NOTIFY is a late copy of an earlier one, from a network that delays
// or duplicates datagrams: a server sends the next NOTIFY only after the response to the one
// before (RFC 6665 4.2.2). Only the newest NOTIFY is judged. A copy comes within Timer F;
// after that a lower CSeq comes from the server.
func (s *subscription) overtaken(msg *dialogs.Message, at time.Time, timerF time.Duration) bool {
	return msg.CSeq < s.notifyCSeq && s.transaction != 0 && at.UnixNano()-s.sent < int64(timerF)
}

// transactionOf is the part of Message.Transaction that a subscription keeps. The CSeq is
// compared as well.
func transactionOf(msg *dialogs.Message) uint32 { return uint32(msg.Transaction >> 32) } // #nosec G115 -- see above

// notified updates a subscription by a NOTIFY.
func (m *Monitor) notified(s *subscription, msg *dialogs.Message, at time.Time) {
	now := &msg.State
	s.sent = at.UnixNano()
	s.notifyCSeq = msg.CSeq
	s.transaction, s.answered = transactionOf(msg), false
	if s.signedOut == hasSignedOut {
		s.signedOut = notifiedSince
	}
	switch {
	case now.Terminated:
		// It ends when this transaction does (RFC 6665 4.4.1).
		m.end(s, at)
		s.terminated, s.terminatedCSeq = true, msg.CSeq
	case s.phase != active:
	case now.Expires >= 0:
		s.lasts(s.sent, now.Expires, m.linger)
	case s.expires == 0:
		s.lasts(s.sent, assumedExpires, m.linger)
	}
}

// notifyUnknown handles a NOTIFY in an unknown dialog: it came before the 2xx to its
// SUBSCRIBE, or from a fork, or the dialog is older than this process. The shard is locked.
func (m *Monitor) notifyUnknown(sh *subShard, hash uint64, msg *dialogs.Message, id *ident.ID, at time.Time) notification {
	slot := m.makeDialog(sh, hash, msg, id)
	if slot == 0 {
		return notification{ignored: true, label: labelOf(id.Package), why: ignoredUntracked}
	}
	s := sh.subs.At(slot)
	if s.phase == requested && !msg.State.Terminated {
		m.confirm(s)
	}
	if s.expires == 0 && s.asked > 0 {
		s.lasts(at.UnixNano(), int(s.asked), m.linger)
	}
	m.notified(s, msg, at)
	m.parcels.opens(sh, slot, msg)
	n := notification{ref: sh.ref(slot)}
	if s.announce() && m.rec.Interested(s.watcher()) {
		s.untold++
		c := *s
		n.began = &c
	} else {
		m.note(sh, slot)
	}
	return n
}

// makeDialog finds the SUBSCRIBE of an unknown dialog, or a fork of it. Otherwise it makes a
// subscription of what the NOTIFY says (To, From, Event). It gives 0 if none can be kept.
func (m *Monitor) makeDialog(sh *subShard, hash uint64, msg *dialogs.Message, id *ident.ID) uint32 {
	if why := untrackedBy(id); why != tracked {
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
	if sh.foreignUsage(hash, id) {
		m.untracked[untrackedCall].Inc()
		return 0
	}
	if msg.IdentityDiffers { // its To does not name the watcher
		m.untracked[untrackedIdentity].Inc()
		return 0
	}
	watcher, ok := m.canonicalUser(msg.ToURI)
	if !ok {
		m.untracked[untrackedMalformed].Inc()
		return 0
	}
	// The Request-URI is the Contact of the SUBSCRIBE (RFC 3261 12.2.1.1).
	c := firstContact(msg)
	s, ok := m.describe(id, hash, watcher, msg.FromURI, client{contact: c.URI, device: ident.Device(&c)})
	if !ok {
		return 0
	}
	s.emergency = c.Emergency
	s.announced = true
	if instant(msg.At).UnixNano() < m.lapse {
		s.announced, s.initial, s.birth = false, true, m.births.Add(1)
	}
	return m.add(sh, &s, watcher, msg)
}
