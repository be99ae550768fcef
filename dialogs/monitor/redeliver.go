package monitor

import (
	"cmp"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/outcome"
	"rewatch/dialogs/redelivery"
	"rewatch/policy"
)

// Post keeps the NOTIFYs that could not be delivered while their subscription goes on,
// and delivers them. Package redelivery implements it. None of its methods blocks, and
// none calls the Monitor.
type Post interface {
	Keep(now time.Time, n redelivery.Notify) (bool, []redelivery.End)
	Had(now time.Time, dialog uint64, cseq uint32) []redelivery.End
	Drop(dialog uint64, r redelivery.Result) []redelivery.End
	Free(now time.Time, dialog uint64)
	Alive(now time.Time, user, device string)
	Reached(now time.Time, dialog uint64)
	Holds(dialog uint64) bool
	Keeps(dialog uint64) bool
	Some() bool
}

// deviceKey tells the devices of a user apart: by their identity, else by their Contact.
func deviceKey(device, contact string) string { return cmp.Or(device, contact) }

func (s *subscription) deviceKey() string { return deviceKey(s.device(), s.contact()) }

// redelivers says whether NOTIFYs are kept at all. Where the server is to see the real
// response they are not.
func (r *rules) redelivers() bool {
	return r.cfg.Post != nil && r.cfg.Answer != AnswerPassthrough
}

// isKept is what the server gets for a NOTIFY that is kept.
var isKept = dialogs.Verdict{Status: 200, Reason: "OK", Safely: true}

// openFor bounds how long a NOTIFY that was forwarded is taken for open, beyond its
// deadline.
const openFor = 4 * time.Second

// parcels are the NOTIFYs that are kept, or have to wait, as a Monitor sees them.
type parcels struct {
	*Table
	rules *rules
}

// opened is when the NOTIFY that is open has ended at the latest; zero: none is open.
func (p *parcels) opened(s *subscription, at time.Time) time.Time {
	end := time.Unix(0, s.sent).Add(p.cfg.NotifyTimeout + openFor)
	if s.openCSeq == 0 || !at.Before(end) {
		return time.Time{}
	}
	return end
}

// opens notes that a NOTIFY is forwarded, where NOTIFYs are kept. The shard is locked.
func (p *parcels) opens(sh *subShard, slot uint32, msg *dialogs.Message) {
	if p.rules.redelivers() {
		s := sh.subs.At(slot)
		s.openCSeq, s.openKey = msg.CSeq, uint32(msg.Transaction) // #nosec G115 -- the rest is in transaction
	}
}

// openTransaction is that of the NOTIFY that is open.
func (s *subscription) openTransaction() uint64 { return uint64(s.transaction)<<32 | uint64(s.openKey) }

// inLine says whether a NOTIFY has to wait its turn: one of its dialog is kept, or is
// under way, and the phone must see them in their order.
func (p *parcels) inLine(ref dialogs.Ref, s *subscription, msg *dialogs.Message, at time.Time) bool {
	return s.phase == active && p.rules.redelivers() &&
		(s.undelivered || p.cfg.Post.Some() && p.cfg.Post.Holds(uint64(ref)) || s.openCSeq != msg.CSeq && msg.Parcel.Raw != nil && !p.opened(s, at).IsZero())
}

// keep keeps a NOTIFY of a subscription, whose first outcome was o; nil: it has none,
// because it must not overtake those before it. The shard is locked.
func (p *parcels) keep(sh *subShard, slot uint32, cseq uint32, raw dialogs.Parcel, o *dialogs.Outcome, at time.Time) bool {
	s := sh.subs.At(slot)
	if o != nil && p.cfg.DryRun.On() { // what is kept already goes on; nothing new is
		return false
	}
	if !p.rules.redelivers() || raw.Raw == nil || s.phase != active {
		return false
	}
	n := redelivery.Notify{
		User: s.watcher(), Device: s.deviceKey(), Dialog: uint64(makeRef(sh.number, slot, s.generation)), CSeq: cseq, Parcel: raw,
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
	if p.cfg.Content != nil {
		n.Full = redelivery.Full(p.cfg.Content(raw.Raw))
	}
	ok, ends := p.cfg.Post.Keep(at, n)
	p.redelivered.count(at, ends...)
	if ok && !s.undelivered {
		s.undelivered = true
		p.note(sh, slot)
	}
	return ok
}

// queue is a NOTIFY that is inLine. The shard is locked.
func (m *Monitor) queue(sh *subShard, slot uint32, msg *dialogs.Message, now *dialogs.SubscriptionState, at time.Time) notification {
	s := sh.subs.At(slot)
	sent, transaction := s.sent, s.transaction
	m.notified(s, msg, now, at)
	if s.openCSeq != 0 { // what is known of the one that is open stays known
		s.sent, s.transaction = sent, transaction
	}
	n := notification{ignored: true, label: s.label, why: ignoredKept}
	if _, proven := m.superseded(s); proven {
		m.undeliver(sh, slot)
		m.end(s, at)
		m.note(sh, slot)
		n.why, n.ruling = ignoredSuperseded, m.rules.gone(s.usedCSeq)
		return n
	}
	if m.parcels.keep(sh, slot, msg.CSeq, msg.Parcel, nil, at) {
		n.ruling = dialogs.Ruling{Status: isKept.Status, Reason: isKept.Reason, Safely: true}
		return n
	}
	// There is no room. It has failed, and what was kept with it.
	m.undeliver(sh, slot)
	o := dialogs.Outcome{Kind: dialogs.TimedOut, At: at, RetryAfter: -1, CSeq: msg.CSeq}
	n.ignored, n.ruling, n.failed = false, m.rules.gone(s.usedCSeq), m.giveUp(sh, slot, &o)
	return n
}

// early has a NOTIFY that is open kept instead, if there is room. The shard is locked.
func (m *Monitor) early(sh *subShard, slot uint32, o *dialogs.Outcome, j *judgement) {
	s := sh.subs.At(slot)
	j.verdict = dialogs.Verdict{}
	if s.openCSeq != o.CSeq || s.terminated || m.rules.spares(s.watcher()) ||
		!m.parcels.keep(sh, slot, o.CSeq, o.Parcel, o, instant(o.At)) {
		return
	}
	s.openCSeq = 0
	j.finding, j.why, j.sub, j.verdict = isIgnored, ignoredKept, *s, isKept
}

// undeliver drops what is kept for a subscription that has ended. Its shard is locked.
func (t *Table) undeliver(sh *subShard, slot uint32) {
	s := sh.subs.At(slot)
	if s.undelivered && t.cfg.Post != nil {
		ends := t.cfg.Post.Drop(uint64(makeRef(sh.number, slot, s.generation)), redelivery.Dropped)
		t.redelivered.count(time.Time{}, ends...)
	}
	s.undelivered = false
}

// closed notes that the NOTIFY which was open has ended, otherwise than by a 2xx or by
// being kept: what waits behind it may go. The shard is locked.
func (p *parcels) closed(sh *subShard, slot uint32, at time.Time) {
	if s := sh.subs.At(slot); p.rules.redelivers() && s.phase == active {
		p.cfg.Post.Free(at, uint64(makeRef(sh.number, slot, s.generation)))
	}
}

// giveUp declares a NOTIFY failed whose server has had its answer. What it gives is called
// without the lock of the shard, which is held.
func (m *Monitor) giveUp(sh *subShard, slot uint32, o *dialogs.Outcome) func() {
	m.strike(sh, slot, o)
	s := sh.subs.At(slot)
	s.untold++
	c, ref, out := *s, makeRef(sh.number, slot, s.generation), *o
	f := m.rules.failureOf(s, o)
	if f.Unsent = !f.Hop.IsValid(); f.Unsent {
		f.Hop = m.hopOf(s).addrPort()
	}
	m.metrics.failed[c.label].Inc()
	m.metrics.failures.WithLabelValues(outcome.Label(o)).Inc()
	return func() {
		cause := m.report(c, out, f)
		m.ladder.Step(c.watcher(), instant(out.At), "rewatch", "rewatch", "not delivered: "+cause)
		m.toldEngine(ref)
	}
}

// phoneHas tells the Post that the phone has received a NOTIFY, so that nothing older is sent after it.
// The shard is locked.
func (p *parcels) phoneHas(sh *subShard, slot uint32, cseq uint32, at time.Time) {
	s := sh.subs.At(slot)
	if p.cfg.Post == nil || !p.cfg.Post.Some() {
		return
	}
	p.delivered(sh, slot, at, p.cfg.Post.Had(at, uint64(makeRef(sh.number, slot, s.generation)), cseq))
	p.cfg.Post.Alive(at, s.watcher(), s.deviceKey())
}

// delivered notes what has ended well for a subscription. The shard is locked.
func (p *parcels) delivered(sh *subShard, slot uint32, at time.Time, ends []redelivery.End) {
	p.redelivered.count(at, ends...)
	for i := range ends {
		if ends[i].Last {
			sh.subs.At(slot).undelivered = false
			p.note(sh, slot)
		}
	}
}

// Redelivered is told by the Post how a NOTIFY ended that it had kept, and of the outcome
// that ended it.
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

// redeliveredLocked is Redelivered for a subscription that is known. What it gives is
// called without the lock.
func (m *Monitor) redeliveredLocked(sh *subShard, slot uint32, e *redelivery.End, o *dialogs.Outcome) func() {
	s := sh.subs.At(slot)
	if e.Last && !m.cfg.Post.Keeps(e.Dialog) { // another may have come in the meantime
		s.undelivered = false
		m.note(sh, slot)
	}
	switch {
	case e.Result == redelivery.Delivered:
		s.answered = s.answered || s.notifyCSeq == e.CSeq
		if s.phase == active && !s.proven {
			m.prove(s)
			m.note(sh, slot)
		}
		sh.through(o.Hop, instant(o.At), s.user)
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
	case e.Result != redelivery.GivenBack || !e.Last, s.phase == dead, s.over(instant(o.At).UnixNano()):
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

// giveUpLost takes for failed what an earlier process had kept when it ended: its bytes
// are gone, and the phone may be without the newest state.
func (m *Monitor) giveUpLost(at time.Time) {
	for i := range m.subs {
		sh := &m.subs[i]
		var then []func()
		sh.mu.Lock()
		for _, ref := range sh.lost {
			s, slot := sh.lookup(ref)
			if s == nil || !s.undelivered || s.phase != active {
				continue
			}
			s.undelivered = false
			if _, proven := m.superseded(s); proven || s.over(at.UnixNano()) {
				continue
			}
			o := dialogs.Outcome{Kind: dialogs.TimedOut, At: at, RetryAfter: -1, CSeq: s.notifyCSeq}
			then = append(then, m.giveUp(sh, slot, &o))
		}
		sh.lost = nil
		sh.mu.Unlock()
		for _, f := range then {
			f()
		}
	}
}
