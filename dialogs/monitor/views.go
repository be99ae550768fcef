package monitor

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"rewatch/dialogs"
)

// SubscriptionView is a subscription as the admin API shows it.
type SubscriptionView struct {
	CallID     string    `json:"call_id"`
	Watcher    string    `json:"watcher"`
	Resource   string    `json:"resource"`
	Event      string    `json:"event"`
	Contact    string    `json:"contact,omitempty"`
	Device     string    `json:"device,omitempty"` // +sip.instance or GRUU
	State      string    `json:"state"`            // requested, active, ending or dead
	Expires    time.Time `json:"expires,omitzero"`
	LastNotify time.Time `json:"last_notify,omitzero"`
}

// WatcherView is a user as the admin API shows it.
type WatcherView struct {
	AOR           string    `json:"aor"`
	Registered    bool      `json:"registered"`
	AtServer      bool      `json:"at_server"`
	Until         time.Time `json:"registered_until,omitzero"`
	SCSCF         string    `json:"scscf,omitempty"`
	LastHop       string    `json:"last_hop,omitempty"`
	Emergency     bool      `json:"emergency,omitempty"`
	Subscriptions int       `json:"subscriptions"`
	// List is set if one user was asked for: its first MaxPage subscriptions.
	List []SubscriptionView `json:"list,omitempty"`
}

// MaxPage bounds the length of a page, DefaultPage is the length if none is asked for.
const (
	MaxPage     = 1000
	DefaultPage = 100
)

// maxScan is how many users are read before the lock of a shard is released.
const maxScan = 2048

// Subscriptions lists subscriptions, in no particular order. after is empty, or next of the
// page before; next is empty at the end. A subscription that begins or ends meanwhile may be
// missed.
func (t *Table) Subscriptions(after string, limit int) (page []SubscriptionView, next string) {
	page = []SubscriptionView{}
	next = pageOf(after, limit, func(shard int, slot uint32, room int) (uint32, int) {
		sh := &t.subs[shard]
		sh.mu.Lock()
		defer sh.mu.Unlock()
		taken := 0
		for ; slot <= sh.subs.Slots() && taken < room; slot++ {
			if s := sh.subs.At(slot); s.used() {
				page = append(page, s.view())
				taken++
			}
		}
		return beyond(slot, sh.subs.Slots()), taken
	})
	return page, next
}

// Watchers lists users, as Subscriptions does: those whose address of record contains find,
// which has to be in lower case; empty: all.
func (t *Table) Watchers(after string, limit int, find string) (page []WatcherView, next string) {
	page = []WatcherView{}
	now := time.Now().UnixNano()
	next = pageOf(after, limit, func(shard int, slot uint32, room int) (uint32, int) {
		us := &t.users[shard]
		us.mu.Lock()
		defer us.mu.Unlock()
		taken := 0
		for n := 0; slot <= us.users.Slots() && taken < room && n < maxScan; slot, n = slot+1, n+1 {
			if u := us.users.At(slot); u.aor != "" && (find == "" || strings.Contains(strings.ToLower(u.aor), find)) {
				page = append(page, u.view(now))
				taken++
			}
		}
		return beyond(slot, us.users.Slots()), taken
	})
	return page, next
}

// Watcher shows one user with its subscriptions; false if it is not known.
func (t *Table) Watcher(aor string) (WatcherView, bool) {
	u, refs, ok := t.user(aor, MaxPage)
	if !ok {
		return WatcherView{}, false
	}
	v := u.view(time.Now().UnixNano())
	for _, ref := range refs {
		if s, ok := t.load(ref); ok {
			v.List = append(v.List, s.view())
		}
	}
	return v, true
}

// maxContacts bounds User.Contacts: a resource list server may have a hundred thousand
// subscriptions.
const maxContacts = 64

// User implements Directory.
func (t *Table) User(aor string) dialogs.User {
	u, refs, ok := t.user(aor, maxContacts)
	if !ok {
		return dialogs.User{AOR: aor}
	}
	v := u.view(time.Now().UnixNano())
	user := dialogs.User{
		AOR: aor, Registered: v.Registered, AtServer: v.AtServer, Until: v.Until,
		SCSCF: v.SCSCF, LastHop: v.LastHop, Emergency: v.Emergency, Request: u.registration.request,
	}
	for _, ref := range refs {
		s, ok := t.load(ref)
		if contact := s.contact(); ok && contact != "" && !slices.Contains(user.Contacts, contact) {
			user.Contacts = append(user.Contacts, contact)
		}
	}
	return user
}

// user copies the record of a user, and the Refs of its first subscriptions.
func (t *Table) user(aor string, limit int) (u userRecord, refs []dialogs.Ref, ok bool) {
	us, hash := t.userShard(aor)
	us.mu.Lock()
	defer us.mu.Unlock()
	slot := us.find(hash, aor)
	if slot == 0 {
		return u, nil, false
	}
	u = *us.users.At(slot)
	for node := u.head; node != 0 && len(refs) < limit; node = us.nodes.At(node).after {
		refs = append(refs, us.nodes.At(node).ref)
	}
	return u, refs, true
}

// load copies a subscription; false if it was removed.
func (t *Table) load(ref dialogs.Ref) (s subscription, ok bool) {
	sh := &t.subs[shardOf(ref)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	place, _ := sh.lookup(ref)
	if place == nil {
		return s, false
	}
	return *place, true
}

func (s *subscription) view() SubscriptionView {
	v := SubscriptionView{
		CallID: s.callID(), Watcher: s.watcher(), Resource: s.resource(), Event: s.event(),
		Contact: s.contact(), Device: s.device(), State: s.phase.String(),
	}
	if s.expires != 0 {
		v.Expires = time.Unix(0, s.expires).UTC()
	}
	if s.sent != 0 {
		v.LastNotify = time.Unix(0, s.sent).UTC()
	}
	return v
}

func (u *userRecord) view(now int64) WatcherView {
	r := &u.registration
	v := WatcherView{
		AOR: u.aor, LastHop: u.hop.uri(), SCSCF: r.scscf,
		Registered: r.seen() && r.until > now, AtServer: r.until > now && r.atServer,
		Emergency: u.emergencies > 0 || r.emergency, Subscriptions: int(u.subscriptions),
	}
	if r.known() {
		v.Until = time.Unix(0, r.until).UTC()
	}
	return v
}

// pageOf makes a page, shard by shard, from a cursor (slot and shard in one number). take adds
// up to room entries from a slot on; it gives the slot to continue with (0: the next shard)
// and the number of entries.
func pageOf(after string, limit int, take func(shard int, slot uint32, room int) (uint32, int)) string {
	if limit <= 0 {
		limit = DefaultPage
	}
	room := min(limit, MaxPage)
	shard, slot := 0, uint32(1)
	if n, err := strconv.ParseUint(after, 10, 32); err == nil {
		shard, slot = int(n&(shards-1)), max(1, uint32(n>>shardBits))
	}
	for shard < shards {
		var taken int
		slot, taken = take(shard, slot, room)
		room -= taken
		if slot == 0 {
			shard, slot = shard+1, 1
		}
		if room == 0 && shard < shards {
			return strconv.FormatUint(uint64(slot)<<shardBits|uint64(shard), 10)
		}
	}
	return ""
}

// beyond is slot, or 0 if it is after the last one.
func beyond(slot, used uint32) uint32 {
	if slot > used {
		return 0
	}
	return slot
}
