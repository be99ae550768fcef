package monitor

import (
	"context"
	"slices"
	"strings"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/count"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/monitor/slab"
	"rewatch/dialogs/store"
)

// Changes wait in the shards as notes, until the Keeper writes them to the Journal. A note
// says which subscription has changed, not how. So a subscription waits once however often
// it changes, its value is made when the batch is written, and while the Journal is away
// there are no more notes than subscriptions.

// maxGone bounds the keys of a shard that wait to be removed from the Journal. Any further
// entry stays in the Journal until it expires.
const maxGone = 1 << 11

// subNotes are the notes of a subShard, under its lock.
type subNotes struct {
	changed []dialogs.Ref
	gone    []string
}

// note notes that a subscription has changed: it has begun, was refreshed, has ended or has
// failed. It is not called for a NOTIFY that passes.
func (t *Table) note(sh *subShard, slot uint32) {
	s := sh.subs.At(slot)
	if !t.noting || s.noted || s.phase == requested {
		return
	}
	s.noted = true
	if len(sh.notes.changed) > roomyNotes+2*sh.subs.Count() {
		sh.forgetNotes()
	}
	sh.notes.changed = append(sh.notes.changed, sh.ref(slot))
}

// toldEngine is called when the Engine was told an event of a subscription. Before that the
// subscription is not written to the Journal: the next process relies on the state of the
// user to include every event of its subscriptions.
func (t *Table) toldEngine(ref dialogs.Ref) {
	sh := &t.subs[shardOf(ref)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s, slot := sh.lookup(ref); s != nil {
		s.untold--
		t.note(sh, slot)
	}
}

// roomyNotes is a number of notes for which forgetNotes is not called.
const roomyNotes = 1024

// forgetNotes removes the notes of subscriptions that were removed. They become many where
// subscriptions come and go while the Journal is away.
func (sh *subShard) forgetNotes() {
	sh.notes.changed = slices.DeleteFunc(sh.notes.changed, func(r dialogs.Ref) bool {
		s, _ := sh.lookup(r)
		return s == nil
	})
}

// noteGone notes that a subscription was removed, if it was ever written.
func (t *Table) noteGone(sh *subShard, s *subscription) {
	switch {
	case !s.journalled:
	case len(sh.notes.gone) < maxGone && !t.textsFull(len(s.text)):
		key := s.key()
		sh.notes.gone = append(sh.notes.gone, key)
		t.texts.Add(int64(len(key)))
	default:
		t.forgotten[count.ForgottenGone].Inc()
	}
}

// noteRegistration notes that the registration of a user has changed or ended.
func (t *Table) noteRegistration(us *userShard, aor string) {
	if !t.noting {
		return
	}
	if us.notes == nil {
		us.notes = make(map[string]struct{})
	}
	if _, noted := us.notes[aor]; noted {
		return
	}
	_, hash := t.userShard(aor)
	if len(us.notes) >= maxGone+us.users.Count() || us.find(hash, aor) == 0 && t.textsFull(len(aor)) {
		t.forgotten[count.ForgottenGone].Inc()
		return
	}
	us.notes[aor] = struct{}{}
	t.texts.Add(int64(len(aor)))
}

// source is the Source of a Table.
type source struct {
	*Table
	nextShard int // the shard that Collect continues with
}

// Source gives a Keeper access to what has to outlive the process.
func (t *Table) Source() store.Source { return &source{Table: t} }

// Attach implements store.Source: from now on changes are noted.
func (j *source) Attach(k *store.Keeper) {
	j.noting, j.once = true, k.Once
	if j.shared != nil {
		j.shared.Attach(k.Hurry)
	} else {
		j.lapse = time.Now().Add(j.linger).UnixNano()
	}
}

// Safe calls a function when everything known by now is written to the Journal, or when the
// Journal is away; at once if there is no Journal.
func (t *Table) Safe(then func()) {
	if t.once == nil {
		then()
		return
	}
	t.once(then)
}

// Kinds implements store.Source.
func (j *source) Kinds() []store.Kind {
	return []store.Kind{store.KindSubscription, store.KindRegistration}
}

// Restore implements store.Source.
func (j *source) Restore(e store.Entry, now time.Time) bool {
	if e.Kind == store.KindSubscription {
		return j.restoreSubscription(e, true, now)
	}
	return j.restoreRegistration(e, now)
}

// Collect makes entries of the notes, shard by shard.
func (j *source) Collect(room int) (batch []store.Entry, more bool) {
	for len(batch) < room {
		if j.nextShard == shards {
			j.nextShard = 0
			return batch, false
		}
		batch = j.collectRegistrations(j.nextShard, j.collectSubscriptions(j.nextShard, batch))
		j.nextShard++
	}
	return batch, true
}

// Settle asks what other processes know. The question was asked before its REGISTER was
// noted (periods.Ask), so it is answered before the entry is written.
func (j *source) Settle(ctx context.Context) {
	if j.shared != nil {
		j.shared.Settle(ctx)
	}
}

// Unwritten implements store.Source.
func (j *source) Unwritten() int {
	n := 0
	for i := range shards {
		sh, us := &j.subs[i], &j.users[i]
		sh.mu.Lock()
		n += len(sh.notes.changed) + len(sh.notes.gone)
		sh.mu.Unlock()
		us.mu.Lock()
		n += len(us.notes)
		us.mu.Unlock()
	}
	return n
}

// collectSubscriptions makes the entries of the subscriptions noted in a shard. Removed keys
// come first: a key may be in use again.
func (j *source) collectSubscriptions(shard int, batch []store.Entry) []store.Entry {
	sh := &j.subs[shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, key := range sh.notes.gone {
		j.texts.Add(-int64(len(key)))
		batch = j.collectGone(batch, key)
	}
	for _, ref := range sh.notes.changed {
		s, _ := sh.lookup(ref)
		if s == nil {
			continue // removed since
		}
		if s.noted = false; s.untold > 0 {
			continue // toldEngine will note it again
		}
		e := j.entry(s)
		batch = j.collectKept(append(batch, e), s, e)
	}
	clear(sh.notes.gone)
	sh.notes.gone, sh.notes.changed = sh.notes.gone[:0], sh.notes.changed[:0]
	return batch
}

// entry makes the entry of a subscription.
func (j *source) entry(s *subscription) store.Entry {
	s.journalled = true
	return store.Entry{
		Kind: store.KindSubscription, Key: s.key(),
		Value: appendSubscription(nil, s, j.hopOf(s)), Until: time.Unix(0, s.until),
	}
}

// collectRegistrations makes the entries of the registrations noted in a shard.
func (j *source) collectRegistrations(shard int, batch []store.Entry) []store.Entry {
	us := &j.users[shard]
	us.mu.Lock()
	defer us.mu.Unlock()
	for aor := range us.notes {
		j.texts.Add(-int64(len(aor)))
		e := store.Entry{Kind: store.KindRegistration, Key: aor}
		_, hash := j.userShard(aor)
		if slot := us.find(hash, aor); slot != 0 && us.users.At(slot).registration.seen() {
			r := &us.users.At(slot).registration
			e.Value, e.Until = appendRegistration(nil, r), time.Unix(0, r.until)
			batch = j.collectIdentities(batch, r.identities, e)
		}
		batch = append(batch, e)
	}
	clear(us.notes)
	return batch
}

// collectIdentities adds an entry for each other identity of a user, for another replica
// may meet with the user under that one first. These entries expire by themselves.
func (j *source) collectIdentities(batch []store.Entry, identities string, e store.Entry) []store.Entry {
	if j.shared == nil {
		return batch
	}
	for other := range strings.FieldsSeq(identities) {
		if other != e.Key {
			batch = append(batch, store.Entry{Kind: e.Kind, Key: other, Value: e.Value, Until: e.Until})
		}
	}
	return batch
}

// restoreSubscription takes back a subscription, or takes over that of another process (own is
// false); false if it has expired or cannot be read.
func (j *source) restoreSubscription(e store.Entry, own bool, now time.Time) bool {
	s, h, err := readSubscription(e.Value)
	if err != nil || s.until <= now.UnixNano() {
		return false
	}
	id := s.id()
	if id.Fault() != ident.Sound || e.Key != s.key() {
		return false
	}
	if s.journalled = own; !own {
		s.birth = 0 // older than whatever this process has seen
	}
	s.keptEntry = s.journalled && s.undelivered && j.cfg.Instance != ""
	s.label = labelOf(id.Package)
	for b := j.births.Load(); b < s.birth && !j.births.CompareAndSwap(b, s.birth); b = j.births.Load() {
	}
	sh, hash := j.callShard(id.CallID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.tag = slab.TagOf(hash)
	if sh.find(hash, j.identity(&id)) != 0 {
		return false
	}
	slot := j.add(sh, &s, strings.Clone(s.watcher()), &dialogs.Message{Side: dialogs.Server})
	if slot == 0 {
		return false
	}
	j.restoreUser(sh.subs.At(slot), h)
	if s.undelivered {
		sh.lost = append(sh.lost, sh.ref(slot))
	}
	return true
}

// restoreUser takes back what the entry of a subscription says of its user.
func (j *source) restoreUser(s *subscription, h hop) {
	us, _ := j.userShard(s.watcher())
	us.mu.Lock()
	defer us.mu.Unlock()
	if h.known {
		us.users.At(us.nodes.At(s.node).user).hop = h
	}
	if s.phase == active {
		us.rank(s.node, s.birth, s.proven)
	}
	if s.failed || s.phase == dead {
		us.toFront(s.node)
	}
}

// restoreRegistration takes back a registration; false if it has expired or cannot be read.
func (j *source) restoreRegistration(e store.Entry, now time.Time) bool {
	r, err := readRegistration(e.Value)
	aor, ok := aor.Canonical(e.Key)
	if err != nil || r.until <= now.UnixNano() || !ok || aor != e.Key {
		return false
	}
	identities := strings.Fields(r.identities)
	if other := len(identities) > 0 && identities[0] != aor; !other && !j.restoreOf(aor, r) {
		return false
	}
	j.identities.Add(identities, time.Unix(0, r.until))
	return true
}

// restoreOf takes back the registration of a user that has none yet.
func (j *source) restoreOf(aor string, r registration) bool {
	us, hash := j.userShard(aor)
	us.mu.Lock()
	defer us.mu.Unlock()
	slot := us.find(hash, aor)
	if slot != 0 && us.users.At(slot).registration.known() {
		return false
	}
	if slot = j.admit(us, slot, hash, aor); slot == 0 {
		return false
	}
	j.texts.Add(int64(len(r.scscf) + len(r.identities)))
	us.users.At(slot).registration = r
	return true
}
