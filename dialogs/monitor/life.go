package monitor

import (
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/monitor/outcome"
	"rewatch/dialogs/monitor/slab"
	"rewatch/policy"
)

// describe makes the record of a new subscription. It counts one that cannot be kept.
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

// add copies a subscription into the shard, whose lock is held, and into the list of its
// user. It is 0 if there is no room. watcher is the watcher of s in a string of its own,
// which is kept if the user is new.
func (t *Table) add(sh *subShard, s *subscription, watcher string, msg *dialogs.Message) uint32 {
	if t.records.Add(1) > int64(t.cfg.MaxSubscriptions) || t.textsFull(len(s.text)+len(watcher)) {
		return t.turnAway(untrackedFull)
	}
	s.identity, s.user = t.identify(s), uint32(dialogs.UserID(watcher)) // #nosec G115 -- it has 32 bits
	thread := t.hashThread(s)
	us, hash := t.userShard(watcher)
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
	place.node = us.link(user, sh.ref(slot), thread, s.emergency)
	if msg.Side == dialogs.Core {
		us.users.At(user).hop = makeHop(msg.Source, msg.Transport)
	}
	t.texts.Add(int64(len(s.text)))
	t.enter(s)
	return slot
}

// turnAway counts a subscription that there is no room for, and gives no slot.
func (t *Table) turnAway(why untracked) uint32 {
	t.records.Add(-1)
	t.untracked[why].Inc()
	return 0
}

// remove removes a subscription; the lock of its shard is held.
func (t *Table) remove(sh *subShard, slot uint32) {
	s := sh.subs.At(slot)
	t.exit(s)
	t.undeliver(sh, slot)
	t.texts.Add(-int64(len(s.text)))
	sh.stopWaiting(slot)
	if s.headKept {
		t.dropHead(sh, slot, s)
	}
	t.noteGone(sh, s)
	us, _ := t.userShard(s.watcher())
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
	t.rank(s, false)
}

// prove notes that a NOTIFY of an active subscription has been answered with a 2xx.
func (t *Table) prove(s *subscription) {
	s.proven = true
	t.rank(s, true)
}

// rank tells the thread of an active subscription that it was accepted, or proven as well.
func (t *Table) rank(s *subscription, proven bool) {
	us, _ := t.userShard(s.watcher())
	us.mu.Lock()
	us.rank(s.node, s.birth, proven)
	us.mu.Unlock()
}

// end marks a subscription as ending: only NOTIFYs under way may still follow.
func (t *Table) end(s *subscription, at time.Time) {
	t.exit(s)
	s.phase = ending
	s.until = at.Add(t.linger).UnixNano()
}

// superseded says whether a newer subscription of the same device has taken the place of s:
// one that was accepted, and one that is proven as well (a NOTIFY of it was answered with
// a 2xx). s may be a copy of a subscription that was removed.
func (t *Table) superseded(s *subscription) (accepted, proven bool) {
	thread, place := t.hashThread(s), t.hashPlace(s)
	us, _ := t.userShard(s.watcher())
	us.mu.Lock()
	defer us.mu.Unlock()
	accepted, proven = us.superseded(thread, s.birth)
	if place != thread { // the newer one may not name its device
		acceptedThere, provenThere := us.superseded(place, s.birth)
		accepted, proven = accepted || acceptedThere, proven || provenThere
	}
	return accepted, proven
}

// replaced says whether a newer subscription has taken the place of s, so that the outcome
// tells nothing of the watcher. That is so if the newer one is proven. If it is only
// accepted, the outcome has to be 481: the client has forgotten the old one.
func (t *Table) replaced(s *subscription, o *dialogs.Outcome) bool {
	accepted, proven := t.superseded(s)
	return proven || accepted && o.Kind == dialogs.Responded && o.Status == goneStatus
}

// moved takes over the Contact and the neighbour of a refresh: the client may have moved.
func (t *Table) moved(s *subscription, msg *dialogs.Message) {
	from := firstContact(msg)
	uri, device := from.URI, ident.Device(&from)
	us, _ := t.userShard(s.watcher())
	us.mu.Lock()
	defer us.mu.Unlock()
	us.users.At(us.nodes.At(s.node).user).hop = makeHop(msg.Source, msg.Transport)
	if len(uri) > 0 && ident.IsURI(uri) && s.contact() != string(uri) {
		if !t.textsFull(len(uri) - len(s.contact())) {
			s.former = t.target(s.contact())
			t.rewrite(s, textContact, uri)
		}
		s.emergency = from.Emergency
		us.setEmergency(s.node, s.emergency)
	}
	if len(device) > 0 && s.device() != string(device) && !t.textsFull(len(device)-len(s.device())) {
		t.rewrite(s, textDevice, device)
	}
	if us.rejoin(s.node, t.hashThread(s)) && s.phase == active {
		us.rank(s.node, s.birth, s.proven)
	}
}

// sharesDialog says whether o is another usage of the same dialog.
func (s *subscription) sharesDialog(o *subscription) bool {
	return s.callID() == o.callID() && s.watcherTag() == o.watcherTag() && s.notifierTag() == o.notifierTag()
}

// sweepParts is in how many parts, one each second, a big table is swept. To read a million
// records takes a few milliseconds, which is less than a list in the order of expiry would
// cost with every NOTIFY.
const sweepParts = 16

// sweepAtOnce is how many records one part has at least: a small table has fewer parts.
const sweepAtOnce = 1 << 12

// expiry is the sweep of a Monitor.
type expiry struct{ *Monitor }

// sweep ends what has expired by now.
func (x expiry) sweep(now time.Time) {
	var then []func()
	var w slab.Sweep
	parts := min(sweepParts, 1+(x.records.Load()+x.registered.Load())/sweepAtOnce)
	part := now.Unix() % parts
	for i := range shards {
		mine := int64(i)%parts == part
		then = x.subscriptions(&x.subs[i], now, mine, &w, then)
		if mine {
			x.identities.Forget(i, now)
			then = x.registrations(&x.users[i], now, &w, then)
		}
	}
	for _, f := range then {
		f()
	}
}

// subscriptions looks for temporary failures whose deadline has passed, and for subscriptions
// that have expired.
func (x expiry) subscriptions(sh *subShard, now time.Time, all bool, w *slab.Sweep, then []func()) []func() {
	at := now.UnixNano()
	sh.mu.Lock()
	for slot, later := range sh.waiting {
		if later.deadline > at {
			continue
		}
		if f := x.gaveOut(sh, slot, now); f != nil {
			then = append(then, f)
		}
	}
	sh.mu.Unlock()
	if !all {
		return then
	}
	w.Each(&sh.mu, sh.subs.Slots, func(slot uint32) {
		if s := sh.subs.At(slot); s.used() && s.until <= at {
			if f := x.expired(s, now); f != nil {
				then = append(then, f)
			}
			x.remove(sh, slot)
		}
	})
	return then
}

// expired gives what tells the Engine of a subscription that was not refreshed; nil if the
// Engine need not know. A failed one is left to its recovery, which may take longer than the
// subscription would have lasted.
func (x expiry) expired(s *subscription, now time.Time) func() {
	if s.phase != active || s.failed || !x.rec.Interested(s.watcher()) {
		return nil
	}
	watcher, sub := s.watcher(), s.broken()
	return func() {
		x.rec.Offer(watcher, policy.Event{Kind: policy.Ended, At: now, Sub: sub})
	}
}

// registrations ends the registrations that have expired.
func (x expiry) registrations(us *userShard, now time.Time, w *slab.Sweep, then []func()) []func() {
	w.Each(&us.mu, us.users.Slots, func(slot uint32) {
		u := us.users.At(slot)
		if !u.registration.known() || u.registration.until > now.UnixNano() {
			return
		}
		aor, posted := u.aor, u.registration.posted
		x.clearRegistration(us, slot)
		if x.shared == nil { // otherwise another process may have seen a later REGISTER
			x.noteRegistration(us, aor)
		}
		if !posted {
			then = append(then, func() { x.periods.Lapsed(aor, now) })
		}
	})
	return then
}
