package monitor

import (
	"cmp"
	"math"
	"slices"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/redelivery"
	"rewatch/policy"
)

// Post keeps NOTIFYs that could not be delivered, and delivers them while their subscription
// lasts. Package redelivery implements it. None of its methods blocks or calls the Monitor.
type Post interface {
	Keep(now time.Time, n redelivery.Notify) (bool, []redelivery.End)
	Had(now time.Time, dialog uint64, cseq uint32) []redelivery.End
	Drop(dialog uint64, r redelivery.Result) []redelivery.End
	Free(now time.Time, dialog uint64)
	Alive(now time.Time, user, device string)
	Reached(now time.Time, dialog uint64, old, contact string)
	Overtake(dialog uint64, cseq uint32)
	Holds(dialog uint64) bool
	Keeps(dialog uint64) bool
	Some() bool
}

// deviceKey identifies the device of a subscription among those of its user.
func (s *subscription) deviceKey() string { return cmp.Or(s.device(), s.contact()) }

// senderKey is the deviceKey of the device that sent a request; empty unless the request has
// exactly one Contact.
func senderKey(msg *dialogs.Message) string {
	if len(msg.Contacts) != 1 {
		return ""
	}
	c := &msg.Contacts[0]
	return cmp.Or(string(ident.Device(c)), string(c.URI))
}

// redelivers says whether NOTIFYs are kept at all: not where the server is to get the real
// response.
func (r *rules) redelivers() bool {
	return r.cfg.Post != nil && r.cfg.Answer != AnswerPassthrough
}

// isKept is the answer to the server for a NOTIFY that is kept.
var isKept = dialogs.Verdict{Status: 200, Reason: "OK", Safely: true}

// openFor is how long after its deadline a NOTIFY is still taken for open.
const openFor = 4 * time.Second

// parcels are the NOTIFYs of a Table that are kept to be delivered, or wait their turn.
type parcels struct{ *Table }

// opened is when the open NOTIFY of s ends at the latest; zero: none is open.
func (p *parcels) opened(s *subscription, at time.Time) time.Time {
	end := time.Unix(0, s.sent).Add(p.cfg.NotifyTimeout + openFor)
	if s.openCSeq == 0 || !at.Before(end) {
		return time.Time{}
	}
	return end
}

// opens notes that a NOTIFY is forwarded. The shard is locked.
func (p *parcels) opens(sh *subShard, slot uint32, msg *dialogs.Message) {
	if p.redelivers() {
		s := sh.subs.At(slot)
		s.openCSeq, s.openKey = msg.CSeq, uint32(msg.Transaction) // #nosec G115 -- the rest is in transaction
	}
}

// openTransaction is the dialogs.Message.Transaction of the open NOTIFY.
func (s *subscription) openTransaction() uint64 { return uint64(s.transaction)<<32 | uint64(s.openKey) }

// inLine says whether a NOTIFY has to wait: an earlier one of its dialog is kept or, of its
// subscription, open, and the phone has to get them in their order. In a dry run only those that
// are kept count.
func (p *parcels) inLine(sh *subShard, slot uint32, msg *dialogs.Message, at time.Time) bool {
	s := sh.subs.At(slot)
	return s.goesOn() && p.redelivers() &&
		(s.undelivered || p.cfg.Post.Some() && (p.cfg.Post.Holds(uint64(sh.ref(slot))) || sh.keptBeside(slot)) ||
			s.openCSeq != msg.CSeq && msg.Parcel.Raw != nil && !p.opened(s, at).IsZero() && !p.cfg.DryRun.On())
}

// keep gives a NOTIFY to the Post; false if it is not kept. o is its outcome; nil: it was not
// sent yet, because it has to wait for an earlier one. The shard is locked.
func (p *parcels) keep(sh *subShard, slot uint32, cseq uint32, raw dialogs.Parcel, o *dialogs.Outcome, at time.Time) bool {
	s := sh.subs.At(slot)
	if o != nil && p.cfg.DryRun.On() { // a dry run keeps only what waits behind a kept one
		return false
	}
	if !p.redelivers() || raw.Raw == nil || !s.goesOn() {
		return false
	}
	n := redelivery.Notify{
		User: s.watcher(), Device: s.deviceKey(), Dialog: uint64(sh.ref(slot)), Common: p.hashDialog(s), CSeq: cseq, Parcel: raw,
	}
	if o != nil {
		n.Loose, n.Sent = o.Early, time.Unix(0, s.sent)
		class := redelivery.Classify(o)
		if class == redelivery.Final {
			return false
		}
		n.Hop, n.Unanswered, n.Refused = o.Hop, class == redelivery.Silence, class == redelivery.Failed500
	} else {
		n.Queued, n.After = true, p.opened(s, at)
	}
	if s.former != 0 && p.target(string(redelivery.Target(raw.Raw))) == s.former {
		// It has crossed the refresh with which its client has moved.
		n.Parcel.Raw = redelivery.WithTarget(raw.Raw, s.contact())
	}
	for _, other := range sh.usages(slot) {
		n.Overtaken = n.Overtaken || other.answered && other.notifyCSeq > cseq
	}
	if p.cfg.Content != nil {
		kind, coding, body := p.cfg.Content(raw.Raw)
		n.Full, n.Bare = redelivery.Full(kind, coding, body), len(body) == 0
	}
	ok, ends := p.cfg.Post.Keep(at, n)
	p.redelivered.count(at, ends...)
	if ok && !s.undelivered {
		s.undelivered = true
		p.note(sh, slot)
	}
	return ok
}

// queue handles a NOTIFY that is inLine. The shard is locked.
func (m *Monitor) queue(sh *subShard, slot uint32, msg *dialogs.Message, at time.Time) notification {
	s := sh.subs.At(slot)
	sent, transaction := s.sent, s.transaction
	m.notified(s, msg, at)
	if s.openCSeq != 0 { // these belong to the open NOTIFY
		s.sent, s.transaction = sent, transaction
	}
	n := notification{ignored: true, label: s.label, why: ignoredKept}
	if _, proven := m.superseded(s); proven {
		m.undeliver(sh, slot)
		m.end(s, at)
		m.note(sh, slot)
		n.why, n.ruling = ignoredSuperseded, m.gone(s.usedCSeq)
		return n
	}
	if m.parcels.keep(sh, slot, msg.CSeq, msg.Parcel, nil, at) {
		n.ruling = dialogs.Ruling{Status: isKept.Status, Reason: isKept.Reason, Safely: true}
		return n
	}
	// There is no room: the NOTIFY has failed, and with it those kept before it.
	o := dialogs.Outcome{Kind: dialogs.TimedOut, At: at, RetryAfter: -1, CSeq: msg.CSeq}
	n.ignored, n.ruling, n.failed = false, m.gone(s.usedCSeq), m.giveUp(sh, slot, &o)
	return n
}

// early keeps an open NOTIFY, if there is room. The shard is locked.
func (m *Monitor) early(sh *subShard, slot uint32, o *dialogs.Outcome, j *judgement) {
	s := sh.subs.At(slot)
	j.verdict = dialogs.Verdict{}
	if s.openCSeq != o.CSeq || s.terminated || m.spares(s.watcher()) ||
		!m.parcels.keep(sh, slot, o.CSeq, o.Parcel, o, instant(o.At)) {
		return
	}
	s.openCSeq = 0
	j.finding, j.why, j.sub, j.verdict = isIgnored, ignoredKept, *s, isKept
}

// undeliver drops the NOTIFYs that are kept for a subscription. Its shard is locked.
func (t *Table) undeliver(sh *subShard, slot uint32) { t.unkeep(sh, slot, redelivery.Dropped) }

// unkeep ends the keeping of NOTIFYs for a subscription. Its shard is locked.
func (t *Table) unkeep(sh *subShard, slot uint32, r redelivery.Result) {
	s := sh.subs.At(slot)
	if t.cfg.Post != nil { // also if not undelivered: the Post may repeat a NOTIFY
		ends := t.cfg.Post.Drop(uint64(sh.ref(slot)), r)
		t.redelivered.count(time.Time{}, ends...)
	}
	s.undelivered = false
}

// closed notes that the open NOTIFY has ended with no 2xx and is not kept: NOTIFYs that wait
// for it may be sent. The shard is locked.
func (p *parcels) closed(sh *subShard, slot uint32, at time.Time) {
	if s := sh.subs.At(slot); p.redelivers() && s.phase == active {
		p.cfg.Post.Free(at, uint64(sh.ref(slot)))
	}
}

// giveUp declares a NOTIFY failed that the server has had its response to. The shard is
// locked; what giveUp returns is called without the lock.
func (m *Monitor) giveUp(sh *subShard, slot uint32, o *dialogs.Outcome) func() {
	m.strike(sh, slot, o)
	s := sh.subs.At(slot)
	c, ref, out := *s, sh.ref(slot), *o
	f := m.failureOf(s, o)
	if f.Unsent = !f.Hop.IsValid(); f.Unsent {
		f.Hop = m.hopOf(s).addrPort()
	}
	return func() {
		cause := m.report(c, out, f)
		m.ladder.Step(c.watcher(), instant(out.At), "rewatch", "rewatch", "not delivered: "+cause)
		m.toldEngine(ref)
	}
}

// phoneHas tells the Post that the phone has received a NOTIFY: no older one is sent after it.
// The shard is locked.
func (p *parcels) phoneHas(sh *subShard, slot uint32, cseq uint32, at time.Time) {
	s := sh.subs.At(slot)
	if p.cfg.Post == nil || !p.cfg.Post.Some() {
		return
	}
	p.overtakes(sh, slot, cseq)
	ends := p.cfg.Post.Had(at, uint64(sh.ref(slot)), cseq)
	p.redelivered.count(at, ends...)
	if slices.ContainsFunc(ends, func(e redelivery.End) bool { return e.Last }) {
		s.undelivered = false
		p.note(sh, slot)
	}
	p.cfg.Post.Alive(at, s.watcher(), s.deviceKey())
}

// overtakes tells the Post that the phone has a NOTIFY of a subscription: those of others in
// its dialog with a lower CSeq are refused from now on. The shard is locked.
func (p *parcels) overtakes(sh *subShard, slot, cseq uint32) {
	for other, s := range sh.usages(slot) {
		if s.undelivered {
			p.cfg.Post.Overtake(uint64(sh.ref(other)), cseq)
		}
	}
}

// Redelivered is told by the Post how a kept NOTIFY ended, and the outcome of the last attempt.
func (m *Monitor) Redelivered(e redelivery.End, o *dialogs.Outcome) {
	out := *o
	out.CSeq = e.CSeq
	if !out.Hop.IsValid() {
		out.Hop = e.Hop
	}
	ref := dialogs.Ref(e.Dialog)
	sh := &m.subs[shardOf(ref)]
	sh.mu.Lock()
	s, slot := sh.lookup(ref)
	if s == nil {
		sh.mu.Unlock()
		m.redelivered.count(instant(out.At), e)
		return
	}
	then := m.redeliveredLocked(sh, slot, &e, &out)
	sh.mu.Unlock()
	m.redelivered.count(instant(out.At), e)
	if then != nil {
		then()
	}
}

// redeliveredLocked is Redelivered for a known subscription, whose shard is locked. What it
// returns is called without the lock.
func (m *Monitor) redeliveredLocked(sh *subShard, slot uint32, e *redelivery.End, o *dialogs.Outcome) func() {
	s := sh.subs.At(slot)
	if e.Last && !m.cfg.Post.Keeps(e.Dialog) { // another NOTIFY may have been kept meanwhile
		s.undelivered = false
		m.note(sh, slot)
	}
	switch {
	case e.Result == redelivery.Delivered:
		m.parcels.overtakes(sh, slot, e.CSeq)
		s.answered = s.answered || s.notifyCSeq == e.CSeq
		if s.phase == active && !s.proven {
			m.prove(s)
			m.note(sh, slot)
		}
		sh.hops.Add(o.Hop, instant(o.At), uint64(s.user))
		c, last := *s, e.Last
		return func() {
			if last {
				m.rec.Returned(c.agent(), policy.ByRedelivery)
			}
			m.cfg.Post.Alive(instant(o.At), c.watcher(), c.deviceKey())
			if m.rec.Interested(c.watcher()) && c.phase == active {
				m.tell(&c, false, o)
			}
		}
	case e.Result != redelivery.GivenBack, s.phase == dead:
		return nil
	case s.over(instant(o.At).UnixNano()): // it has lapsed meanwhile
		e.Result = redelivery.Dropped
		return nil
	case !e.Last:
		return nil
	case m.replaced(s, o):
		e.Result = redelivery.Dropped
		m.undeliver(sh, slot)
		m.end(s, instant(o.At))
		m.note(sh, slot)
		return nil
	}
	return m.giveUp(sh, slot, o)
}

// Waits says whether NOTIFYs are kept that wait for a sign of life of their device.
func (m *Monitor) Waits() bool { return m.redelivers() && m.cfg.Post.Some() }

// Heard is told, while the Monitor Waits, of a request that it has no other use for: the
// device that sent it is alive.
func (m *Monitor) Heard(msg *dialogs.Message) {
	if user, ok := m.watcherOf(msg); ok {
		m.parcels.signOfLife(user, msg)
	}
}

// signOfLife tells the Post that the device that sent a request is alive.
func (p *parcels) signOfLife(user string, msg *dialogs.Message) {
	if p.redelivers() {
		p.aliveDevice(user, senderKey(msg), msg)
	}
}

// aliveDevice tells the Post that a device is alive; empty: any device of the user. A NOTIFY
// that has been open for a while is kept first, so that it is sent anew at once: its next
// retransmission may be seconds away.
func (p *parcels) aliveDevice(user, device string, msg *dialogs.Message) {
	at := instant(msg.At)
	for _, transaction := range p.overdue(user, device, msg, at) {
		p.cfg.Overdue(transaction)
	}
	p.cfg.Post.Alive(at, user, device)
}

// overdue gives the transactions of NOTIFYs to a device, or with a Call-ID, that have been
// open for a while.
func (p *parcels) overdue(user, device string, msg *dialogs.Message, at time.Time) (transactions []uint64) {
	if p.cfg.Overdue == nil {
		return nil
	}
	_, refs, _ := p.user(user, math.MaxInt)
	for _, ref := range refs {
		sh := &p.subs[shardOf(ref)]
		sh.mu.Lock()
		s, _ := sh.lookup(ref)
		if s != nil && !p.opened(s, at).IsZero() && s.overdue(device, msg, at) {
			transactions = append(transactions, s.openTransaction())
		}
		sh.mu.Unlock()
	}
	return transactions
}
