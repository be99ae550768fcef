package dialogs

import "time"

// collectSubscriptions makes the entries of the subscriptions that are noted in a
// shard. What is gone comes first: the same key may have come back since.
func (m *Monitor) collectSubscriptions(shard int, batch []Entry) []Entry {
	sh := &m.subs[shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, key := range sh.notes.gone {
		batch = append(batch, Entry{Kind: KindSubscription, Key: key})
	}
	for _, ref := range sh.notes.changed {
		s, _ := sh.lookup(ref)
		if s == nil {
			continue // removed since
		}
		if s.noted = false; s.later > 0 {
			continue // it will be noted once more
		}
		batch = append(batch, m.entry(s))
	}
	sh.notes.gone, sh.notes.changed = sh.notes.gone[:0], sh.notes.changed[:0]
	return batch
}

// entry is what the Journal is to know of a subscription.
func (m *Monitor) entry(s *subscription) Entry {
	s.kept = true
	return Entry{
		Kind: KindSubscription, Key: s.key(),
		Value: appendSubscription(nil, s, m.hopOf(s)), Until: time.Unix(0, s.until),
	}
}

// mark is the same of one whose dialog has died, for whoever decides about its user; none
// if there is no Journal.
func (m *Monitor) mark(s *subscription) Entry {
	if !m.noting || s.phase != dead {
		return Entry{}
	}
	return m.entry(s)
}

// hopOf is where the user of a subscription was heard from last.
func (m *Monitor) hopOf(s *subscription) hop {
	us := m.userShard(m.hashAOR(s.watcher()))
	us.mu.Lock()
	defer us.mu.Unlock()
	return us.users.at(us.nodes.at(s.node).user).hop
}

// collectRegistrations makes the entries of the registrations noted in a shard.
func (m *Monitor) collectRegistrations(shard int, batch []Entry) []Entry {
	us := &m.users[shard]
	us.mu.Lock()
	defer us.mu.Unlock()
	for aor := range us.notes {
		e := Entry{Kind: KindRegistration, Key: aor}
		if slot := us.find(m.hashAOR(aor), aor); slot != 0 {
			if r := &us.users.at(slot).registration; r.known() {
				e.Value, e.Until = appendRegistration(nil, r), time.Unix(0, r.until)
			}
		}
		batch = append(batch, e)
	}
	clear(us.notes)
	return batch
}

// restoreSubscription takes up a subscription of before; false if it is over, or
// nothing that could be one.
func (m *Monitor) restoreSubscription(e Entry, now time.Time) bool {
	s, h, err := readSubscription(e.Value)
	if err != nil || s.until <= now.UnixNano() {
		return false
	}
	id := s.id()
	if id.check() != tracked || e.Key != s.key() {
		return false
	}
	s.kept = true
	s.label = labelOf(id.Package)
	for b := m.births.Load(); b < s.birth && !m.births.CompareAndSwap(b, s.birth); b = m.births.Load() {
	}
	hash := m.hashBytes(id.CallID)
	sh := m.subShard(hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.tag = tagOf(hash)
	if sh.find(hash, m.identity(&id)) != 0 {
		return false
	}
	slot := m.add(sh, s, &Message{Side: Server})
	if slot == 0 {
		return false
	}
	m.restoreUser(sh.subs.at(slot), h)
	return true
}

// id is the ID that names this subscription.
func (s *subscription) id() ID {
	id := ID{CallID: []byte(s.callID()), WatcherTag: []byte(s.watcherTag()), NotifierTag: []byte(s.notifierTag())}
	id.Package, id.Param = parseEvent([]byte(s.event()))
	return id
}

// restoreUser tells the user of a restored subscription what it knew of him.
func (m *Monitor) restoreUser(s *subscription, h hop) {
	us := m.userShard(m.hashAOR(s.watcher()))
	us.mu.Lock()
	defer us.mu.Unlock()
	if h.known {
		us.users.at(us.nodes.at(s.node).user).hop = h
	}
	if s.phase == active {
		us.confirm(s.node, s.birth)
	}
	if s.failed || s.phase == dead {
		us.toFront(s.node)
	}
}

// restoreRegistration takes up a registration of before.
func (m *Monitor) restoreRegistration(e Entry, now time.Time) bool {
	r, err := readRegistration(e.Value)
	aor, ok := CanonicalAOR(e.Key)
	if err != nil || r.until <= now.UnixNano() || !ok || aor != e.Key {
		return false
	}
	hash := m.hashAOR(aor)
	us := m.userShard(hash)
	us.mu.Lock()
	defer us.mu.Unlock()
	if slot := us.find(hash, aor); slot != 0 && us.users.at(slot).registration.known() {
		return false
	}
	if !m.admit(aor) {
		return false
	}
	m.texts.Add(int64(len(r.scscf)))
	us.users.at(us.need(hash, aor)).registration = r
	return true
}
