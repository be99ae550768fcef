package monitor

import (
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/ident"
)

// Notify is told of a NOTIFY from the server, once per transaction, before it
// is forwarded. The way of a known subscription takes one lock and allocates
// nothing.
func (m *Monitor) Notify(msg *dialogs.Message) (dialogs.Ref, dialogs.Ruling) {
	id := ident.OfNotify(msg)
	if msg.Side != dialogs.Server || !m.rules.recovers(id.Package) {
		m.metrics.ignore(labelOf(id.Package), ignoredPackage)
		return 0, dialogs.Ruling{}
	}
	at := instant(msg.At)
	now := &msg.State
	hash := m.hashBytes(id.CallID)
	sh := m.subShard(hash)
	sh.mu.Lock()
	n := m.notify(sh, hash, msg, &id, now, at)
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
	began   *subscription // of which the Engine has to hear; nil: it has
	failed  func()        // what follows, where it has failed at once
}

// notify finds the subscription of a NOTIFY. The shard is locked.
func (m *Monitor) notify(sh *subShard, hash uint64, msg *dialogs.Message, id *ident.ID, now *dialogs.SubscriptionState, at time.Time) notification {
	slot := sh.find(hash, m.identity(id))
	if slot == 0 && sh.endings.has(m.identity(id), at) {
		return notification{ignored: true, label: labelOf(id.Package), why: ignoredEnded}
	}
	if slot == 0 {
		return m.notifyUnknown(sh, hash, msg, id, now, at)
	}
	s := sh.subs.At(slot)
	if s.phase == dead {
		return notification{ruling: m.rules.gone(s.usedCSeq), ignored: true, label: s.label, why: ignoredDead}
	}
	if s.answered && s.notifyCSeq == msg.CSeq && s.transaction == transactionOf(msg) {
		return notification{ruling: dialogs.Ruling{Again: true}}
	}
	if now.Terminated { // nobody waits for what came before
		m.undeliver(sh, slot)
	} else if m.parcels.inLine(makeRef(sh.number, slot, s.generation), s, msg, at) {
		return m.queue(sh, slot, msg, now, at)
	}
	if s.overtaken(msg, at, m.linger) {
		return notification{ruling: dialogs.Ruling{Again: true}}
	}
	changes := s.phase == requested || now.Terminated
	if s.phase == requested {
		m.confirm(s) // by a refresh whose 2xx is still under way
	}
	m.notified(s, msg, now, at)
	m.parcels.opens(sh, slot, msg)
	if changes {
		m.note(sh, slot)
	}
	return notification{ref: makeRef(sh.number, slot, s.generation)}
}

// gone is the answer to a NOTIFY in a dead dialog, should the server have kept
// it. One that rewatch has itself ended with a NOTIFY cannot go on even where
// the server is to see nothing but silence.
func (r *rules) gone(taken bool) dialogs.Ruling {
	if r.cfg.Answer == AnswerSilent && !taken {
		return dialogs.Ruling{Silent: true}
	}
	return dialogs.Ruling{Status: goneStatus, Reason: goneReason}
}

// overtaken says whether a NOTIFY is a late copy of one before the last, which a network
// that delays or doubles datagrams may deliver: the server sends the next only when it has
// the answer to the one before (RFC 6665 4.2.2). It is the last one that is judged. A copy
// is no later than the server's Timer F; after that a lower CSeq is the server's own.
func (s *subscription) overtaken(msg *dialogs.Message, at time.Time, timerF time.Duration) bool {
	return msg.CSeq < s.notifyCSeq && s.transaction != 0 && at.UnixNano()-s.sent < int64(timerF)
}

// transactionOf is the part of a transaction's hash that a subscription keeps: with
// the CSeq, which no two NOTIFYs of a dialog share, it is more than enough.
func transactionOf(msg *dialogs.Message) uint32 { return uint32(msg.Transaction >> 32) } // #nosec G115 -- see above

// notified notes that a NOTIFY passes.
func (m *Monitor) notified(s *subscription, msg *dialogs.Message, now *dialogs.SubscriptionState, at time.Time) {
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

// notifyUnknown makes the dialog of a NOTIFY that comes before the 2xx to its
// SUBSCRIBE, or from a fork, or that is older than this process. The
// shard is locked.
func (m *Monitor) notifyUnknown(sh *subShard, hash uint64, msg *dialogs.Message, id *ident.ID, now *dialogs.SubscriptionState, at time.Time) notification {
	slot := m.makeDialog(sh, hash, msg, id)
	if slot == 0 {
		return notification{ignored: true, label: labelOf(id.Package), why: ignoredUntracked}
	}
	s := sh.subs.At(slot)
	if s.phase == requested && !now.Terminated {
		m.confirm(s)
	}
	if s.expires == 0 && s.asked > 0 {
		s.lasts(at.UnixNano(), int(s.asked), m.linger)
	}
	m.notified(s, msg, now, at)
	m.parcels.opens(sh, slot, msg)
	n := notification{ref: makeRef(sh.number, slot, s.generation)}
	if s.announce() && m.rec.Interested(s.watcher()) {
		s.untold++
		c := *s
		n.began = &c
	} else {
		m.note(sh, slot)
	}
	return n
}

// makeDialog finds the SUBSCRIBE of an unknown dialog, or a fork of it, or else
// takes the NOTIFY's word: it alone tells who watches what (To, From, Event).
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
	if msg.IdentityDiffers { // what is claimed there is not to be held against its user
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

const (
	nothingFollows finding = iota
	gotThrough
	hasEnded // its subscription has
	cameLate // a 2xx
	isIgnored
	hasFailed
)
