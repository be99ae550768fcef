package monitor

import (
	"bytes"
	"cmp"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/count"
	"rewatch/dialogs/monitor/ident"
	"rewatch/policy"
)

// goneStatus and goneReason are the response that ends a subscription (RFC 6665 4.1.2.2 and
// 4.2.2); every known server and client obeys it.
const (
	goneStatus = 481
	goneReason = "Subscription Does Not Exist"
)

// Subscribe is told of a SUBSCRIBE before it is forwarded: initial, refresh, un-SUBSCRIBE or
// fetch. One from the server, which is a watcher itself then, is not tracked.
func (m *Monitor) Subscribe(msg *dialogs.Message) dialogs.Ruling {
	if msg.Side == dialogs.Server {
		return dialogs.Ruling{}
	}
	if limit := m.cfg.MaxExpires; m.cfg.DryRun.On() && limit > 0 && (msg.Expires < 0 || msg.Expires > limit) {
		m.dryRun.Did(count.DryExpires)
	}
	watcher, ok := m.watcherOf(msg)
	if msg.Unasserted { // From is not believed, so only a known dialog names the watcher
		if watcher, ok = m.watcherIn(msg); !ok {
			m.untracked[untrackedUnasserted].Inc()
			return dialogs.Ruling{}
		}
	}
	at := instant(msg.At)
	if ok && msg.Expires != 0 && m.refused(watcher, at) {
		return dialogs.Ruling{Status: 403, Reason: "Forbidden"}
	}
	if ok {
		m.throughput.Heard(msg, at, watcher)
	}
	id := ident.OfSubscribe(msg)
	if !m.recovers(id.Package) {
		return dialogs.Ruling{}
	}
	why := untrackedBy(&id)
	if !ok && why == tracked {
		why = untrackedMalformed
	}
	if why != tracked {
		m.untracked[why].Inc()
		return dialogs.Ruling{}
	}
	if len(id.NotifierTag) == 0 {
		m.subscribe(msg, &id, watcher, at)
	} else if m.parcels.signOfLife(watcher, msg); !m.refresh(msg, &id, watcher, at) {
		return m.refuseRefresh(&id, watcher, msg, at)
	}
	m.ladder.Subscribe(watcher, at, "server", &id)
	return dialogs.Ruling{}
}

// subscribe notes an initial SUBSCRIBE, unless it is a retransmission.
func (m *Monitor) subscribe(msg *dialogs.Message, id *ident.ID, watcher string, at time.Time) {
	sh, hash := m.callShard(id.CallID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	again := sh.first(hash, func(s *subscription) bool {
		return s.subscribeCSeq == msg.CSeq && s.sameDialogs(id) && !s.settled(at, m.linger)
	})
	if again != 0 {
		return
	}
	if m.unconfirmed() {
		m.untracked[untrackedUnconfirmed].Inc()
		return
	}
	from := firstContact(msg)
	s, ok := m.describe(id, hash, watcher, ident.Resource(msg.ToURI, msg.RequestURI), client{from.URI, ident.Device(&from), msg.UserAgent})
	if !ok {
		return
	}
	s.emergency = from.Emergency
	s.initial = true
	s.birth = m.births.Add(1)
	s.subscribeCSeq = msg.CSeq
	s.asked = asked(msg)
	s.until = at.Add(m.linger).UnixNano()
	if s.asked == 0 {
		s.fetch, s.phase = true, ending
	}
	m.add(sh, &s, watcher, msg)
}

// settled says whether the SUBSCRIBE of s cannot be retransmitted any more: another one with
// the same Call-ID, tag and CSeq comes from a client that has been restarted.
func (s *subscription) settled(at time.Time, linger time.Duration) bool {
	return s.phase == dead || s.accepted != 0 && at.UnixNano()-s.accepted > int64(linger)
}

// refresh notes a SUBSCRIBE in a dialog, which may be older than this process. One that the
// core asserts to come from another user says nothing of the dialog's. It is false if the
// dialog is dead.
func (m *Monitor) refresh(msg *dialogs.Message, id *ident.ID, watcher string, at time.Time) bool {
	sh, hash := m.callShard(id.CallID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	slot := sh.find(hash, m.identity(id))
	if slot == 0 {
		if sh.foreignUsage(hash, id) {
			m.untracked[untrackedCall].Inc()
			return true
		}
		from := firstContact(msg)
		if s, ok := m.describe(id, hash, watcher, msg.ToURI, client{from.URI, ident.Device(&from), msg.UserAgent}); ok {
			s.emergency = from.Emergency
			s.announced = true
			// A further usage of a dialog does not supersede the first one.
			if first := sh.first(hash, s.sharesDialog); first != 0 {
				s.birth = sh.subs.At(first).birth
			}
			s.until = at.Add(m.linger).UnixNano()
			slot = m.add(sh, &s, watcher, msg)
		}
		if slot == 0 {
			return true
		}
	}
	s := sh.subs.At(slot)
	if len(msg.Identities) > 0 && m.identities.Named(s.watcher()) != watcher {
		m.untracked[untrackedIdentity].Inc() // what the server makes of it, it shows
		return true
	}
	if s.phase == dead {
		return false
	}
	s.subscribeCSeq = msg.CSeq
	s.acceptedCSeq = cmp.Or(s.acceptedCSeq, msg.CSeq)
	s.asked = asked(msg)
	contact := s.contact()
	m.moved(s, msg)
	if s.asked == 0 {
		m.undeliver(sh, slot)
		m.end(s, at)
	} else if s.undelivered && m.redelivers() {
		m.cfg.Post.Reached(at, uint64(sh.ref(slot)), contact, s.contact())
	}
	m.note(sh, slot)
	return true
}

// refuseRefresh answers a SUBSCRIBE in a dead dialog, so that the client subscribes anew. If
// the client unsubscribes, there is nothing to recover.
func (m *Monitor) refuseRefresh(id *ident.ID, watcher string, msg *dialogs.Message, at time.Time) dialogs.Ruling {
	if m.rec.Interested(watcher) {
		m.ladder.Subscribe(watcher, at, "rewatch", id)
		m.ladder.Step(watcher, at, "rewatch", "core", goneText)
		m.refusedRefresh(id, msg.Expires == 0, at)
	}
	return dialogs.Ruling{Status: goneStatus, Reason: goneReason}
}

// refusedRefresh notes that a SUBSCRIBE in a dead dialog was refused. The Engine is told if
// the watcher has left (it unsubscribes).
func (m *Monitor) refusedRefresh(id *ident.ID, left bool, at time.Time) {
	sh, hash := m.callShard(id.CallID)
	sh.mu.Lock()
	slot := sh.find(hash, m.identity(id))
	if slot == 0 {
		sh.mu.Unlock()
		return
	}
	c := *sh.subs.At(slot)
	us, _ := m.userShard(c.watcher())
	us.mu.Lock()
	us.threads.At(us.nodes.At(c.node).thread).refused = at.UnixNano()
	us.mu.Unlock()
	sh.mu.Unlock()
	if left {
		m.rec.Offer(c.watcher(), policy.Event{Kind: policy.Ended, At: at, Sub: c.broken()})
	}
}

// client is what a request says of the client: Contact URI, device and User-Agent.
type client struct{ contact, device, agent []byte }

// maxAgent is how many bytes of a User-Agent are kept.
const maxAgent = 48

// firstContact is the first Contact of a message, if there is one.
func firstContact(msg *dialogs.Message) dialogs.Contact {
	if len(msg.Contacts) == 0 {
		return dialogs.Contact{Expires: -1}
	}
	return msg.Contacts[0]
}

// asked is the Expires of a SUBSCRIBE in seconds; -1: absent.
func asked(msg *dialogs.Message) int32 {
	return int32(min(msg.Expires, maxSeconds-1)) // #nosec G115 -- bounded
}

// watcherOf gives the user that sent a SUBSCRIBE: the asserted identity, a SIP URI rather
// than a tel URI (RFC 3325 9.1 allows one of each), else From.
func (t *Table) watcherOf(msg *dialogs.Message) (string, bool) {
	var scratch [aor.MaxScratch]byte
	var tel []byte
	for _, uri := range msg.Identities {
		switch aor, ok := aor.Append(scratch[:0], uri); {
		case !ok:
		case !bytes.HasPrefix(aor, []byte("tel:")):
			return t.knownUser(aor), true
		case tel == nil:
			tel = uri
		}
	}
	if tel != nil {
		return t.canonicalUser(tel)
	}
	return t.canonicalUser(msg.FromURI)
}

// watcherIn gives the watcher of the subscription that a SUBSCRIBE belongs to.
func (t *Table) watcherIn(msg *dialogs.Message) (string, bool) {
	id := ident.OfSubscribe(msg)
	if len(id.NotifierTag) == 0 || id.Fault() != ident.Sound {
		return "", false
	}
	sh, hash := t.callShard(id.CallID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	slot := sh.find(hash, t.identity(&id))
	if slot == 0 {
		return "", false
	}
	return sh.subs.At(slot).watcher(), true
}
