package monitor

import (
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/monitor/outcome"
	"rewatch/dialogs/monitor/slab"
)

// describe puts a new subscription together. It counts what cannot be kept.
func (t *Table) describe(id *ident.ID, hash uint64, watcher string, resource []byte, from client) (s subscription, ok bool) {
	var scratch [aor.MaxScratch]byte
	uri, ok := ident.AppendResource(scratch[:0], resource)
	if !ok {
		t.untracked[untrackedMalformed].Inc()
		return s, false
	}
	if !ident.IsURI(from.contact) {
		from.contact = nil
	}
	var room [maxAgent]byte
	agent := outcome.AppendPrintable(room[:0], from.agent, maxAgent)
	var b textBuilder
	length := len(id.CallID) + len(id.WatcherTag) + len(id.NotifierTag) + len(id.Package) + len(watcher) + len(uri) + len(from.contact) + len(from.device) + len(agent)
	if len(id.Param) > 0 {
		length += len(ident.IDParam) + len(id.Param)
	}
	b.Grow(length)
	b.add(id.CallID)
	b.add(id.WatcherTag)
	b.add(id.NotifierTag)
	_, _ = b.Write(id.Package)
	if len(id.Param) > 0 {
		_, _ = b.WriteString(ident.IDParam)
		_, _ = b.Write(id.Param)
	}
	b.end()
	b.addString(watcher)
	b.add(uri)
	b.add(from.contact)
	b.add(from.device)
	b.add(agent)
	s.text, s.ends = b.String(), b.ends
	s.label = labelOf(id.Package)
	s.tag = slab.TagOf(hash)
	s.asked = -1
	return s, true
}

// add copies a subscription to a place in the shard, whose lock is held, and enters it in
// the list of its user. It is 0 if there is no room. watcher is that of s, as a text of its
// own: it is kept if the user is new.
func (t *Table) add(sh *subShard, s *subscription, watcher string, msg *dialogs.Message) uint32 {
	if t.records.Add(1) > int64(t.cfg.MaxSubscriptions) || t.textsFull(len(s.text)+len(watcher)) {
		return t.turnAway(untrackedFull)
	}
	s.identity, s.user = t.identify(s), uint32(dialogs.UserID(watcher)) // #nosec G115 -- it has 32 bits
	hash, thread := t.hashAOR(watcher), t.hashThread(s)
	us := t.userShard(hash)
	us.mu.Lock()
	defer us.mu.Unlock()
	user := us.find(hash, watcher)
	if user != 0 && int(us.users.At(user).subscriptions) >= t.cfg.MaxPerWatcher {
		return t.turnAway(untrackedQuota)
	}
	slot, why := sh.put(s)
	if why != tracked {
		return t.turnAway(why)
	}
	if user == 0 {
		if t.shared != nil && msg.Side == dialogs.Core {
			t.shared.AskWhose(watcher, msg.At)
		}
		user = us.enter(hash, watcher)
	}
	place := sh.subs.At(slot)
	place.node = us.link(user, makeRef(sh.number, slot, place.generation), thread, s.emergency)
	if msg.Side == dialogs.Core {
		us.users.At(user).hop = makeHop(msg.Source, msg.Transport)
	}
	t.texts.Add(int64(len(s.text)))
	t.enter(s)
	return slot
}

// turnAway counts a subscription that has no room; it gives no slot.
func (t *Table) turnAway(why untracked) uint32 {
	t.records.Add(-1)
	t.untracked[why].Inc()
	return 0
}

// remove takes a subscription out everywhere; the lock of its shard is held.
func (t *Table) remove(sh *subShard, slot uint32) {
	s := sh.subs.At(slot)
	t.exit(s)
	t.undeliver(sh, slot)
	t.texts.Add(-int64(len(s.text)))
	if s.waiting {
		delete(sh.waiting, slot)
	}
	if s.headKept {
		t.dropHead(sh, slot, s)
	}
	t.noteGone(sh, s)
	us := t.userShard(t.hashAOR(s.watcher()))
	us.mu.Lock()
	us.unlink(s.node)
	us.mu.Unlock()
	sh.drop(slot)
	t.records.Add(-1)
}

// confirm makes a subscription active: its 2xx or its first NOTIFY has come.
func (t *Table) confirm(s *subscription) {
	if s.phase == active {
		return
	}
	t.exit(s)
	s.phase = active
	t.enter(s)
	us := t.userShard(t.hashAOR(s.watcher()))
	us.mu.Lock()
	us.confirm(s.node, s.birth)
	us.mu.Unlock()
}

// end marks a subscription of which nothing is expected any more but what is
// under way.
func (t *Table) end(s *subscription, at time.Time) {
	t.exit(s)
	s.phase = ending
	s.until = at.Add(t.linger).UnixNano()
}

// superseded says whether a newer subscription of the same device has taken the place
// of s, which may be a copy of one that is gone: one that was accepted, and one that a
// NOTIFY of has got through.
func (t *Table) superseded(s *subscription) (accepted, proven bool) {
	thread, place := t.hashThread(s), t.hashPlace(s)
	us := t.userShard(t.hashAOR(s.watcher()))
	us.mu.Lock()
	defer us.mu.Unlock()
	accepted, proven = us.superseded(thread, s.birth)
	if place != thread { // it may not tell any more who it is
		acceptedThere, provenThere := us.superseded(place, s.birth)
		accepted, proven = accepted || acceptedThere, proven || provenThere
	}
	return accepted, proven
}

// replaced says whether an outcome says nothing of the watcher, because a newer
// subscription has taken the place of s. One that is proven takes it whatever the
// outcome; of one that is accepted only the client can say so, by 481: it has forgotten
// the old one.
func (t *Table) replaced(s *subscription, o *dialogs.Outcome) bool {
	accepted, proven := t.superseded(s)
	return proven || accepted && o.Kind == dialogs.Responded && o.Status == goneStatus
}

// prove notes that a NOTIFY of s has got through.
func (t *Table) prove(s *subscription) {
	s.proven = true
	us := t.userShard(t.hashAOR(s.watcher()))
	us.mu.Lock()
	us.prove(s.node, s.birth)
	us.mu.Unlock()
}

// moved notes the Contact and the hop of a refresh: the client may have moved.
func (t *Table) moved(s *subscription, msg *dialogs.Message) {
	from := firstContact(msg)
	uri, device := from.URI, ident.Device(&from)
	us := t.userShard(t.hashAOR(s.watcher()))
	us.mu.Lock()
	defer us.mu.Unlock()
	us.users.At(us.nodes.At(s.node).user).hop = makeHop(msg.Source, msg.Transport)
	if len(uri) > 0 && ident.IsURI(uri) && s.contact() != string(uri) {
		if !t.textsFull(len(uri) - len(s.contact())) {
			t.rewrite(s, textContact, uri)
		}
		s.emergency = from.Emergency
		us.setEmergency(s.node, s.emergency)
	}
	if len(device) > 0 && s.device() != string(device) && !t.textsFull(len(device)-len(s.device())) {
		t.rewrite(s, textDevice, device)
	}
	if us.rejoin(s.node, t.hashThread(s)) && s.phase == active {
		us.confirm(s.node, s.birth)
		if s.proven {
			us.prove(s.node, s.birth)
		}
	}
}

// sharesDialog says whether o is another usage of the same dialog.
func (s *subscription) sharesDialog(o *subscription) bool {
	return s.callID() == o.callID() && s.watcherTag() == o.watcherTag() && s.notifierTag() == o.notifierTag()
}
