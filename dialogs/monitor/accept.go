package monitor

import (
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/monitor/outcome"
	"rewatch/dialogs/monitor/slab"
	"rewatch/policy"
)

// SubscribeDone is told of the final response to a SUBSCRIBE of the core.
func (m *Monitor) SubscribeDone(msg *dialogs.Message) {
	if msg.Status < 200 || len(msg.CallID) == 0 {
		return
	}
	at := instant(msg.At)
	sh, hash := m.callShard(msg.CallID)
	sh.mu.Lock()
	a := m.answeredBy(sh, hash, msg, at)
	sh.mu.Unlock()
	if !a.interested {
		return
	}
	m.ladder.Response(a.sub.watcher(), at, "server", "core", msg.Status, msg.Reason)
	if a.began {
		m.subscribed(&a.sub, a.ref, at)
	}
	if a.ended {
		m.rec.Offer(a.sub.watcher(), policy.Event{Kind: policy.Ended, At: at, Sub: a.sub.broken()})
	}
}

// answer is what the response to a SUBSCRIBE means, found under the lock of its shard.
type answer struct {
	interested   bool // the Engine wants to know
	began, ended bool // the subscription has
	sub          subscription
	ref          dialogs.Ref
}

// answeredBy finds and updates the subscription of a response. The shard is locked.
func (m *Monitor) answeredBy(sh *subShard, hash uint64, msg *dialogs.Message, at time.Time) answer {
	slot := sh.answered(hash, msg)
	if slot == 0 {
		return answer{}
	}
	if msg.Status > 299 {
		return m.rejected(sh, slot, msg)
	}
	if s := sh.subs.At(slot); s.notifierTag() != string(msg.ToTag) {
		if slot = m.adopt(sh, hash, slot, msg.ToTag); slot == 0 {
			return answer{}
		}
	}
	return m.accepted(sh, slot, msg, at)
}

// answered finds the subscription whose SUBSCRIBE a response answers. A response has no
// Event, but in one dialog no two requests have the same CSeq. The dialog of the To tag is
// preferred; else, after an initial SUBSCRIBE, one without a notifier tag; else any fork.
func (sh *subShard) answered(hash uint64, msg *dialogs.Message) (found uint32) {
	best := 0
	for slot := sh.chains.Get(slab.TagOf(hash)); slot != 0; {
		s := sh.subs.At(slot)
		if s.subscribeCSeq == msg.CSeq && s.callID() == string(msg.CallID) && s.watcherTag() == string(msg.FromTag) {
			rank := 0
			switch tag := s.notifierTag(); {
			case tag == string(msg.ToTag):
				rank = 3
			case tag == "":
				rank = 2
			case s.initial:
				rank = 1
			}
			if rank > best {
				best, found = rank, slot
			}
		}
		slot = s.next
	}
	return found
}

// adopt gives the subscription for a new notifier tag: that of the SUBSCRIBE itself if it has
// no tag yet; otherwise (the SUBSCRIBE was forked) a copy.
func (t *Table) adopt(sh *subShard, hash uint64, slot uint32, tag []byte) uint32 {
	s := sh.subs.At(slot)
	if !ident.IsTag(tag) {
		t.untracked[untrackedMalformed].Inc()
		return 0
	}
	if s.notifierTag() == "" {
		if twin := sh.madeByNotify(hash, s, tag); twin != 0 {
			// The twin stays because its NOTIFY may be open, and the Ref must stay valid.
			other := sh.subs.At(twin)
			other.initial, other.announced, other.fetch, other.subscribeCSeq, other.asked = s.initial, false, s.fetch, s.subscribeCSeq, s.asked
			t.remove(sh, slot)
			return twin
		}
		t.rewrite(s, textNotifierTag, tag)
		s.identity = t.identify(s)
		return slot
	}
	fork := subscription{
		text: s.text, ends: s.ends, label: s.label, tag: s.tag,
		initial: s.initial, birth: s.birth, subscribeCSeq: s.subscribeCSeq, asked: s.asked,
		fetch: s.fetch, emergency: s.emergency, expires: s.expires, until: s.until, acceptedCSeq: s.acceptedCSeq, accepted: s.accepted,
	}
	if fork.fetch {
		fork.phase = ending
	}
	fork.replace(textNotifierTag, tag)
	return t.add(sh, &fork, s.watcher(), &dialogs.Message{Side: dialogs.Server})
}

// madeByNotify finds a subscription to the same dialog that a NOTIFY has created: after a
// restart the NOTIFY may be retransmitted before the SUBSCRIBE.
func (sh *subShard) madeByNotify(hash uint64, s *subscription, tag []byte) uint32 {
	return sh.first(hash, func(o *subscription) bool {
		return o.notifierTag() == string(tag) && o.callID() == s.callID() &&
			o.watcherTag() == s.watcherTag() && o.event() == s.event()
	})
}

// accepted is a 2xx to a SUBSCRIBE. The shard is locked.
func (m *Monitor) accepted(sh *subShard, slot uint32, msg *dialogs.Message, at time.Time) answer {
	s := sh.subs.At(slot)
	granted := min(msg.Expires, maxSeconds)
	if granted < 0 {
		granted = int(s.asked)
	}
	if granted < 0 {
		granted = assumedExpires
	}
	s.acceptedCSeq, s.accepted, s.signedOut = msg.CSeq, at.UnixNano(), notSignedOut
	wanted := s.asked != 0 && s.phase != dead
	announce := false
	switch {
	case wanted && granted > 0:
		m.confirm(s)
		s.lasts(at.UnixNano(), granted, m.linger)
		announce = s.announce()
	case wanted:
		m.undeliver(sh, slot)
		m.end(s, at) // the server grants nothing
	}
	if m.Waits() { // only now: a NOTIFY in an old dialog may be answered with 481 from here on
		m.cfg.Post.Alive(at, s.watcher(), s.deviceKey())
	}
	left := !wanted && !s.fetch && s.phase == ending && !s.endTold
	s.endTold = s.endTold || left
	a := answer{interested: m.rec.Interested(s.watcher()), ended: left, ref: sh.ref(slot)}
	if a.began = a.interested && announce; a.began {
		s.untold++
	} else {
		m.note(sh, slot)
	}
	a.sub = *s
	return a
}

// broughtBackBy says what made a client subscribe again, as far as it is known here: the 481
// to its refresh. Some clients wait for half a minute after it.
func (t *Table) broughtBackBy(s *subscription, at time.Time) policy.By {
	us, _ := t.userShard(s.watcher())
	us.mu.Lock()
	defer us.mu.Unlock()
	slot := us.threadOf(t.hashThread(s))
	if slot == 0 || at.UnixNano()-us.threads.At(slot).refused > 2*int64(t.linger) {
		return policy.ByUnknown
	}
	return policy.ByRefresh
}

// announce says, once, that the Engine has to be told of a new subscription.
func (s *subscription) announce() bool {
	if s.announced || s.phase != active {
		return false
	}
	s.announced = true
	return true
}

// rejected is another final response to a SUBSCRIBE. The shard is locked.
func (m *Monitor) rejected(sh *subShard, slot uint32, msg *dialogs.Message) answer {
	s := sh.subs.At(slot)
	first := s.unanswered()
	if merged := msg.Status == 482 && (first || s.phase == requested); merged || s.accepted != 0 && s.acceptedCSeq == msg.CSeq {
		// A copy of the SUBSCRIBE came by another path (RFC 3261 8.2.2.2); the first one
		// makes the subscription.
		return answer{}
	}
	c := *s
	ends, until := outcome.EndsRefresh(msg.Status), instant(msg.At).Add(m.linger)
	switch {
	case first:
		m.neverBegan(sh, &c, until)
	case s.phase == requested:
		m.remove(sh, slot)
	case ends:
		sh.endings.note(s, until)
		if s.phase != dead {
			m.remove(sh, slot)
		}
	}
	ended := c.phase == ending && !c.fetch && !c.endTold && ends
	return answer{interested: m.rec.Interested(c.watcher()), ended: ended, sub: c}
}

// neverBegan removes what NOTIFYs have made of an initial SUBSCRIBE that the server refuses after
// all: "no subscription or new dialog usage has been created" (RFC 6665 4.1.2.1). s is a copy.
func (m *Monitor) neverBegan(sh *subShard, s *subscription, until time.Time) {
	for slot := sh.chains.Get(s.tag); slot != 0; {
		o, next := sh.subs.At(slot), sh.subs.At(slot).next
		if o.unanswered() && o.subscribeCSeq == s.subscribeCSeq && o.callID() == s.callID() && o.watcherTag() == s.watcherTag() {
			m.remove(sh, slot)
		}
		slot = next
	}
	refused := *s
	refused.replace(textNotifierTag, nil)
	refused.identity = m.identify(&refused)
	sh.endings.note(&refused, until)
}
