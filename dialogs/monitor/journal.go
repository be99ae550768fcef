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

// What the Monitor has to write to the Journal waits in its shards as notes. A note says
// which subscription has changed, not how. So a subscription waits once however often it
// changes, its value is made when the batch is written, and while the Journal is away there
// are no more notes than subscriptions.

// maxGone bounds the keys of a shard that wait to be removed from the Journal. Any further
// one is removed there when it expires.
const maxGone = 1 << 11

// subNotes are those of a subShard, under its lock.
type subNotes struct {
	changed []dialogs.Ref
	gone    []string
}

// note has a subscription journalled. It is called where one begins, ends, is
// refreshed or dies, not where a NOTIFY passes.
func (t *Table) note(sh *subShard, slot uint32) {
	s := sh.subs.At(slot)
	if !t.noting || s.noted || s.phase == requested {
		return
	}
	s.noted = true
	if len(sh.notes.changed) > roomyNotes+2*sh.subs.Count() {
		sh.forgetNotes()
	}
	sh.notes.changed = append(sh.notes.changed, makeRef(sh.number, slot, s.generation))
}

// toldEngine notes a subscription when the Engine was told what has happened to it. A
// subscription is not journalled before that, whatever it was noted for: the next process
// relies on it that the state of the user includes what the subscription tells.
func (t *Table) toldEngine(ref dialogs.Ref) {
	sh := &t.subs[shardOf(ref)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s, slot := sh.lookup(ref); s != nil {
		s.untold--
		t.note(sh, slot)
	}
}

// roomyNotes is how many notes of a shard are never too many.
const roomyNotes = 1024

// forgetNotes drops the notes of subscriptions that are gone. They gather where many
// come and go while the Journal is away.
func (sh *subShard) forgetNotes() {
	sh.notes.changed = slices.DeleteFunc(sh.notes.changed, func(r dialogs.Ref) bool {
		s, _ := sh.lookup(r)
		return s == nil
	})
}

// noteGone has it removed, if it was ever written.
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

// noteRegistration has the registration of a user journalled, or its end.
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
	if len(us.notes) >= maxGone+us.users.Count() || us.find(t.hashAOR(aor), aor) == 0 && t.textsFull(len(aor)) {
		t.forgotten[count.ForgottenGone].Inc()
		return
	}
	us.notes[aor] = struct{}{}
	t.texts.Add(int64(len(aor)))
}

// unwritten is how many notes wait in a shard.
func (j *source) unwritten(shard int) int {
	sh, us := &j.subs[shard], &j.users[shard]
	sh.mu.Lock()
	n := len(sh.notes.changed) + len(sh.notes.gone)
	sh.mu.Unlock()
	us.mu.Lock()
	defer us.mu.Unlock()
	return n + len(us.notes)
}

// source is the Source of a Table.
type source struct {
	*Table
	nextShard int // where the Keeper goes on to collect
}

// Source is what a Keeper keeps of a Table.
func (t *Table) Source() store.Source { return &source{Table: t} }

// Attach has changes noted for a Keeper from now on.
func (j *source) Attach(k *store.Keeper) {
	j.noting, j.once = true, k.Once
	if j.shared != nil {
		j.shared.Attach(k.Hurry)
	} else {
		j.lapse = time.Now().Add(j.linger).UnixNano()
	}
}

// Safe calls a function when what is known by now outlives the process, as far as anything
// does.
func (t *Table) Safe(then func()) {
	if t.once == nil {
		then()
		return
	}
	t.once(then)
}

// Kinds are those of the entries that are the Monitor's.
func (j *source) Kinds() []store.Kind {
	return []store.Kind{store.KindSubscription, store.KindRegistration}
}

// Restore takes up an entry of an earlier process.
func (j *source) Restore(e store.Entry, now time.Time) bool {
	if e.Kind == store.KindSubscription {
		return j.restoreSubscription(e, now)
	}
	return j.restoreRegistration(e, now)
}

// Collect makes the entries of what is noted, shard by shard.
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

// Settle asks what other processes know. Whoever noted a registration had asked before.
func (j *source) Settle(ctx context.Context) {
	if j.shared != nil {
		j.shared.Settle(ctx)
	}
}

// Unwritten is how many notes wait.
func (j *source) Unwritten() int {
	n := 0
	for i := range shards {
		n += j.unwritten(i)
	}
	return n
}

// collectSubscriptions makes the entries of the subscriptions that are noted in a
// shard. What is gone comes first: the same key may have come back since.
func (j *source) collectSubscriptions(shard int, batch []store.Entry) []store.Entry {
	sh := &j.subs[shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, key := range sh.notes.gone {
		j.texts.Add(-int64(len(key)))
		batch = append(batch, store.Entry{Kind: store.KindSubscription, Key: key})
	}
	for _, ref := range sh.notes.changed {
		s, _ := sh.lookup(ref)
		if s == nil {
			continue // removed since
		}
		if s.noted = false; s.untold > 0 {
			continue // it will be noted once more
		}
		batch = append(batch, j.entry(s))
	}
	clear(sh.notes.gone)
	sh.notes.gone, sh.notes.changed = sh.notes.gone[:0], sh.notes.changed[:0]
	return batch
}

// entry is what the Journal is to know of a subscription.
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
		if slot := us.find(j.hashAOR(aor), aor); slot != 0 {
			if r := &us.users.At(slot).registration; r.known() {
				e.Value, e.Until = appendRegistration(nil, r), time.Unix(0, r.until)
			}
		}
		batch = append(j.collectIdentities(batch, e), e)
	}
	clear(us.notes)
	return batch
}

// collectIdentities makes entries of the other identities of a user, by which another
// replica may meet with it first. They have their time, and end by themselves.
func (j *source) collectIdentities(batch []store.Entry, e store.Entry) []store.Entry {
	if j.shared == nil || len(e.Value) == 0 {
		return batch
	}
	r, err := readRegistration(e.Value)
	if err != nil {
		return batch
	}
	for other := range strings.FieldsSeq(r.identities) {
		if other != e.Key {
			batch = append(batch, store.Entry{Kind: e.Kind, Key: other, Value: e.Value, Until: e.Until})
		}
	}
	return batch
}

// restoreSubscription takes up a subscription of before; false if it is over, or
// nothing that could be one.
func (j *source) restoreSubscription(e store.Entry, now time.Time) bool {
	s, h, err := readSubscription(e.Value)
	if err != nil || s.until <= now.UnixNano() {
		return false
	}
	id := s.id()
	if id.Fault() != ident.Sound || e.Key != s.key() {
		return false
	}
	s.journalled = true
	s.label = labelOf(id.Package)
	for b := j.births.Load(); b < s.birth && !j.births.CompareAndSwap(b, s.birth); b = j.births.Load() {
	}
	hash := j.hashBytes(id.CallID)
	sh := j.subShard(hash)
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
		sh.lost = append(sh.lost, makeRef(sh.number, slot, sh.subs.At(slot).generation))
	}
	return true
}

// restoreUser tells the user of a restored subscription what it knew of them.
func (j *source) restoreUser(s *subscription, h hop) {
	us := j.userShard(j.hashAOR(s.watcher()))
	us.mu.Lock()
	defer us.mu.Unlock()
	if h.known {
		us.users.At(us.nodes.At(s.node).user).hop = h
	}
	if s.phase == active {
		us.confirm(s.node, s.birth)
		if s.proven {
			us.prove(s.node, s.birth)
		}
	}
	if s.failed || s.phase == dead {
		us.toFront(s.node)
	}
}

// restoreRegistration takes up a registration of before.
func (j *source) restoreRegistration(e store.Entry, now time.Time) bool {
	r, err := readRegistration(e.Value)
	aor, ok := aor.Canonical(e.Key)
	if err != nil || r.until <= now.UnixNano() || !ok || aor != e.Key {
		return false
	}
	identities := strings.Fields(r.identities)
	if other := len(identities) > 0 && identities[0] != aor; !other && !j.restorePeriod(aor, r) {
		return false
	}
	j.identities.Add(identities, time.Unix(0, r.until))
	return true
}

// restorePeriod takes up the registration of a user of whom none is known.
func (j *source) restorePeriod(aor string, r registration) bool {
	hash := j.hashAOR(aor)
	us := j.userShard(hash)
	us.mu.Lock()
	defer us.mu.Unlock()
	if slot := us.find(hash, aor); slot != 0 && us.users.At(slot).registration.known() {
		return false
	}
	if !j.admit(aor) {
		return false
	}
	j.texts.Add(int64(len(r.scscf) + len(r.identities)))
	us.users.At(us.need(hash, aor)).registration = r
	return true
}
