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
func (m *Monitor) notify(sh *subShard, hash uint64, msg *dialogs.Message, id *ID, now *dialogs.SubscriptionState, at time.Time) notification {
	slot := sh.find(hash, m.identity(id))
	if slot == 0 {
		return m.notifyUnknown(sh, hash, msg, id, now, at)
	}
	s := sh.subs.At(slot)
	if s.phase == dead {
		return notification{ruling: m.rules.gone(s.taken), ignored: true, label: s.label, why: ignoredDead}
	}
	if s.answered && s.notifyCSeq == msg.CSeq && s.transaction == transactionOf(msg) {
		return notification{ruling: dialogs.Ruling{Again: true}}
	}
	if s.undelivered && now.Terminated {
		m.undeliver(sh, slot)
	} else if m.inLine(s, msg, at) {
		return m.queue(sh, slot, msg, now, at)
	}
	changes := s.phase == requested || now.Terminated
	if s.phase == requested {
		m.confirm(s) // by a refresh whose 2xx is still under way
	}
	m.notified(s, msg, now, at)
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

// transactionOf is the part of a transaction's hash that a subscription keeps: with
// the CSeq, which no two NOTIFYs of a dialog share, it is more than enough.
func transactionOf(msg *dialogs.Message) uint32 { return uint32(msg.Transaction >> 32) } // #nosec G115 -- see above

// notified notes that a NOTIFY passes.
func (m *Monitor) notified(s *subscription, msg *dialogs.Message, now *dialogs.SubscriptionState, at time.Time) {
	s.sent = at.UnixNano()
	s.notifyCSeq = msg.CSeq
	s.transaction, s.answered = transactionOf(msg), false
	if m.rules.redelivers() {
		s.openCSeq = msg.CSeq
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
func (m *Monitor) notifyUnknown(sh *subShard, hash uint64, msg *dialogs.Message, id *ID, now *dialogs.SubscriptionState, at time.Time) notification {
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
	n := notification{ref: makeRef(sh.number, slot, s.generation)}
	if s.announce() && m.rec.Interested(s.watcher()) {
		s.unheard++
		c := *s
		n.began = &c
	} else {
		m.note(sh, slot)
	}
	return n
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
	c := firstContact(msg)
	s, ok := m.describe(id, hash, watcher, msg.FromURI, client{contact: c.URI, device: deviceOf(&c)})
	if !ok {
		return 0
	}
	s.emergency = c.Emergency
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
		return m.rules.asItCame(&o) // counted when it passed
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
	nothingFollows finding = iota
	gotThrough
	hasEnded // its subscription has
	cameLate // a 2xx
	isIgnored
	hasFailed
)

// judgement is what the end of a NOTIFY means, found under the lock of its shard.
type judgement struct {
	finding finding
	verdict dialogs.Verdict
	sub     subscription // as it is now
	why     ignored      // of isIgnored
	alive   bool         // the subscription that had failed goes on
	witness bool         // of isIgnored: it tells of the path all the same
}

// judge weighs the end of a NOTIFY with its subscription. The shard is locked.
func (m *Monitor) judge(sh *subShard, ref dialogs.Ref, o *dialogs.Outcome, j *judgement) {
	j.verdict = m.rules.asItCame(o)
	s, slot := sh.lookup(ref)
	if s == nil {
		if !o.Late {
			j.finding, j.why = isIgnored, ignoredStale
		}
		return
	}
	m.observe(s, o)
	wasOpen := s.openCSeq == o.CSeq && !o.Late
	if wasOpen {
		s.openCSeq = 0
	}
	switch {
	case o.Late:
		m.late(sh, slot, o, j)
	case s.terminated && s.terminatedCSeq == o.CSeq:
		j.finding, j.sub = hasEnded, *s
		m.remove(sh, slot)
		if isOK(o) {
			sh.through(o.Hop, instant(o.At), j.sub.watcher())
		}
	case isOK(o):
		m.passed(sh, slot, o, j)
	default:
		m.unsuccessful(sh, slot, o, j)
		if wasOpen && j.finding == isIgnored && j.why != ignoredKept {
			m.closed(sh, slot, instant(o.At))
		}
	}
}

// follow does what follows from a judgement, without a lock.
func (m *Monitor) follow(j *judgement, o *dialogs.Outcome) {
	s, at := &j.sub, instant(o.At)
	switch j.finding {
	case nothingFollows:
	case gotThrough:
		m.metrics.ok[s.label].Inc()
		// A fetch, or the last NOTIFY of one who leaves, proves no recovery.
		if s.phase == active && s.signedOut == 0 && m.rec.Interested(s.watcher()) {
			m.tell(s, j.alive, o)
		}
	case hasEnded:
		if isOK(o) {
			m.metrics.ok[s.label].Inc()
		} else {
			m.metrics.ignore(s.label, ignoredEnded)
		}
		if !s.fetch && !s.left && m.rec.Interested(s.watcher()) {
			m.rec.Offer(s.watcher(), policy.Event{Kind: policy.Ended, At: at, Sub: s.broken()})
		}
	case cameLate:
		m.metrics.late.Inc()
		m.rec.Offer(s.watcher(), policy.Event{Kind: policy.LateOK, At: at, Sub: s.broken(), Alive: j.alive})
		m.ladder.step(s.watcher(), at, "core", "rewatch", statusText(o.Status, o.Reason)+" (late)")
	case isIgnored:
		m.metrics.ignore(s.label, j.why)
		if j.witness {
			m.throughput.collectFor(at)
			m.rec.Failed(m.failureOf(s, o))
		}
	case hasFailed:
		m.metrics.failed[s.label].Inc()
		m.metrics.failures.WithLabelValues(causeLabel(o)).Inc()
	}
}

// asItCame relays a response, and leaves a server that got none to its timer: a
// proxy never answers 408 (RFC 4320 4.2).
func (r *rules) asItCame(o *dialogs.Outcome) dialogs.Verdict {
	return dialogs.Verdict{Relay: o.Kind == dialogs.Responded || r.cfg.DryRun.On()}
}

// observe measures the NOTIFY, if it is the subscription's last one.
func (m *Monitor) observe(s *subscription, o *dialogs.Outcome) {
	if !o.Late && s.sent != 0 && s.notifyCSeq == o.CSeq {
		m.metrics.seconds.Observe(max(0, time.Duration(instant(o.At).UnixNano()-s.sent).Seconds()))
	}
}

// routing tells of a broken path, whatever the NOTIFY is worth to its watcher.
func (m *Monitor) routing(ref dialogs.Ref, o *dialogs.Outcome) {
	if m.cfg.RoutingFault == nil || !rowOf(o).routing {
		return
	}
	if s, ok := m.load(ref); ok {
		m.cfg.RoutingFault(o.Hop, s.watcher(), o.Status)
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
	if s.signedOut != 0 && s.notifyCSeq == o.CSeq && s.sent > s.signedOut {
		s.signedOut = 0
		m.note(sh, slot)
	}
	m.had(sh, slot, o.CSeq, instant(o.At))
	if s.waiting {
		s.waiting = false
		delete(sh.waiting, slot)
	}
	if s.phase == active && s.failed {
		// The server has kept a subscription that had failed, and it goes on:
		// what was broken is whole again, without a new SUBSCRIBE.
		j.alive, s.failed = true, false
		m.note(sh, slot)
		if s.headKept {
			m.dropHead(sh, slot, s)
		}
	}
	sh.through(o.Hop, instant(o.At), s.watcher())
	j.finding, j.sub = gotThrough, *s
}

// tell offers that a NOTIFY got through, and adds it to the ladder. alive: its
// subscription had failed.
func (m *Monitor) tell(s *subscription, alive bool, o *dialogs.Outcome) {
	kind := policy.NotifyOK
	if alive {
		kind = policy.LateOK
	}
	ev := policy.Event{Kind: kind, At: instant(o.At), Sub: s.broken(), Alive: alive}
	if o.Hop.IsValid() {
		ev.Hop = o.Hop.String()
	}
	m.rec.Offer(s.watcher(), ev)
	m.ladder.notify(s, o)
	m.ladder.response(s.watcher(), instant(o.At), "core", "server", o.Status, o.Reason)
}

// unsuccessful weighs what is not a 2xx with the state of the subscription.
func (m *Monitor) unsuccessful(sh *subShard, slot uint32, o *dialogs.Outcome, j *judgement) {
	s := sh.subs.At(slot)
	w := worthOf(o, m.cfg.FailureRFC)
	j.finding, j.sub = isIgnored, *s
	switch {
	case s.over(instant(o.At).UnixNano()):
		j.why = ignoredEnded
	case s.phase == dead:
		// It was open when another one failed. The server hears the same again.
		j.why = ignoredDead
		j.verdict, _ = m.rules.answer(o)
	case w == worthChallenge:
		j.why = ignoredChallenge
	case m.rules.spares(s.watcher()):
		j.why, j.witness = ignoredScope, w == worthFailure
	case m.replaced(s, o):
		// The client has started anew, or has moved. The server is told, nobody else.
		j.why = ignoredSuperseded
		m.undeliver(sh, slot)
		m.end(s, instant(o.At))
		m.note(sh, slot)
		j.verdict, _ = m.rules.answer(o)
	case m.keep(sh, slot, o.CSeq, o.Parcel, o, instant(o.At)):
		j.why, j.verdict, j.witness = ignoredKept, dialogs.Verdict{Status: 200, Reason: "OK"}, true
	case w == worthWaiting:
		j.why = ignoredTemporary
		m.wait(sh, slot, o)
	case w == worthLittle:
		j.why = ignoredTransaction
	default:
		m.fail(sh, slot, *o, j)
	}
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
