package monitor

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/monitor/slab"
)

// userShard has the users (addresses of record) of some hashes: what each is
// subscribed to, and by which S-CSCF they are registered. Its lock may be taken
// while that of a subShard is held, never the other way round.
type userShard struct {
	mu     sync.Mutex
	byHash slab.Index
	users  slab.Slab[userRecord]
	nodes  slab.Slab[userNode]
	// threads are by watcher, device, resource and event package.
	byThread slab.Index
	threads  slab.Slab[thread]
	// notes are the users whose registration waits for the Journal.
	notes map[string]struct{}
	texts *atomic.Int64 // of the Table
}

// userRecord is one user. It lives as long as they have a subscription or a
// registration.
type userRecord struct {
	aor  string
	next uint32 // users of the same hash
	hash uint64
	// head and tail are the list of their subscriptions, the most recently broken
	// ones first.
	head, tail    uint32
	subscriptions int32
	emergencies   int32 // subscriptions with an emergency contact
	hop           hop   // that the last SUBSCRIBE came from
	registration  registration
}

func (u *userRecord) link() *uint32 { return &u.next }

// userNode is one subscription in the list of its user.
type userNode struct {
	user, before, after uint32
	thread              uint32
	ref                 dialogs.Ref
	emergency           bool
}

// thread is what a device's subscriptions to one resource and event have in
// common, each of which takes the place of the one before.
type thread struct {
	key    uint64 // hash of what they have in common
	birth  uint64 // of the newest subscription that was confirmed
	proven uint64 // of the newest one that a NOTIFY of has got through
	// refused is when a refresh of one of them was answered 481, in unix nanoseconds.
	refused int64
	next    uint32 // threads of the same tag
	count   int32  // subscriptions, whatever their age
}

func (t *thread) link() *uint32 { return &t.next }

// hop is a neighbour without the pointer in netip.Addr.
type hop struct {
	addr      [16]byte
	port      uint16
	transport transport
	known     bool
}

type transport uint8

const (
	overUDP transport = iota
	overTCP
	overTLS
)

func makeHop(source netip.AddrPort, over string) hop {
	if !source.IsValid() {
		return hop{}
	}
	h := hop{addr: source.Addr().As16(), port: source.Port(), known: true}
	switch over {
	case "tcp":
		h.transport = overTCP
	case "tls":
		h.transport = overTLS
	}
	return h
}

// uri is where a request to this neighbour goes.
func (h hop) uri() string {
	if !h.known {
		return ""
	}
	return "sip:" + h.addrPort().String() + [...]string{";transport=udp", ";transport=tcp", ";transport=tls"}[h.transport]
}

// addrPort is the address of the neighbour; not valid if none is known.
func (h hop) addrPort() netip.AddrPort {
	if !h.known {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16(h.addr).Unmap(), h.port)
}

// hopOf is where the user of a subscription was heard from last.
func (t *Table) hopOf(s *subscription) hop {
	us := t.userShard(t.hashAOR(s.watcher()))
	us.mu.Lock()
	defer us.mu.Unlock()
	return us.users.At(us.nodes.At(s.node).user).hop
}

// find gives the slot of a user, or 0.
func (us *userShard) find(hash uint64, aor string) uint32 { return findUser(us, hash, aor) }

func findUser[T string | []byte](us *userShard, hash uint64, aor T) uint32 {
	for slot := us.byHash.Get(slab.TagOf(hash)); slot != 0; {
		u := us.users.At(slot)
		if u.hash == hash && u.aor == string(aor) {
			return slot
		}
		slot = u.next
	}
	return 0
}

// canonicalUser gives the user of a URI in canonical form. For a known user that is the
// string that is stored already, so it costs no allocation.
func (t *Table) canonicalUser(uri []byte) (user string, ok bool) {
	var scratch [aor.MaxScratch]byte
	canonical, ok := aor.Append(scratch[:0], uri)
	if !ok {
		return "", false
	}
	return t.knownUser(canonical), true
}

// knownUser gives the stored string of a canonical form, if its user is known; for another
// identity of a user, that of the user.
func (t *Table) knownUser(canonical []byte) string {
	if user := t.identities.UserOf(canonical); user != "" {
		return user
	}
	hash := t.hashBytes(canonical)
	us := t.userShard(hash)
	us.mu.Lock()
	defer us.mu.Unlock()
	if slot := findUser(us, hash, canonical); slot != 0 {
		return us.users.At(slot).aor
	}
	return string(canonical)
}

// need gives the slot of a user who is made if they are not known (see enter).
func (us *userShard) need(hash uint64, aor string) uint32 {
	if slot := us.find(hash, aor); slot != 0 {
		return slot
	}
	return us.enter(hash, aor)
}

// enter makes a user who is not known. The text of aor is kept, so it must not be a part of
// a longer one.
func (us *userShard) enter(hash uint64, aor string) uint32 {
	slot := us.users.Take()
	*us.users.At(slot) = userRecord{aor: aor, hash: hash, next: us.byHash.Get(slab.TagOf(hash))}
	us.byHash.Set(slab.TagOf(hash), slot)
	us.texts.Add(int64(len(aor)))
	return slot
}

// forget removes a user who has neither subscription nor registration.
func (us *userShard) forget(slot uint32) {
	u := us.users.At(slot)
	if u.subscriptions > 0 || u.registration.known() {
		return
	}
	slab.Unchain(&us.byHash, &us.users, slab.TagOf(u.hash), slot, (*userRecord).link)
	us.texts.Add(-int64(len(u.aor)))
	*u = userRecord{}
	us.users.Give(slot)
}

// link adds a subscription at the end of the list of a user.
func (us *userShard) link(user uint32, ref dialogs.Ref, key uint64, emergency bool) uint32 {
	node := us.nodes.Take()
	u := us.users.At(user)
	*us.nodes.At(node) = userNode{user: user, before: u.tail, ref: ref, thread: us.join(key)}
	if u.tail != 0 {
		us.nodes.At(u.tail).after = node
	} else {
		u.head = node
	}
	u.tail = node
	u.subscriptions++
	us.setEmergency(node, emergency)
	return node
}

// join adds a subscription to the thread of a key, and gives that.
func (us *userShard) join(key uint64) uint32 {
	slot := us.threadOf(key)
	if slot == 0 {
		slot = us.threads.Take()
		*us.threads.At(slot) = thread{key: key, next: us.byThread.Get(slab.TagOf(key))}
		us.byThread.Set(slab.TagOf(key), slot)
	}
	us.threads.At(slot).count++
	return slot
}

// threadOf gives the slot of a key's thread, or 0.
func (us *userShard) threadOf(key uint64) uint32 {
	slot := us.byThread.Get(slab.TagOf(key))
	for slot != 0 && us.threads.At(slot).key != key {
		slot = us.threads.At(slot).next
	}
	return slot
}

// part takes a subscription out of its thread, which ends with the last one.
func (us *userShard) part(slot uint32) {
	t := us.threads.At(slot)
	if t.count--; t.count > 0 {
		return
	}
	slab.Unchain(&us.byThread, &us.threads, slab.TagOf(t.key), slot, (*thread).link)
	*t = thread{}
	us.threads.Give(slot)
}

// unlink takes it out, and the user with their last one.
func (us *userShard) unlink(node uint32) {
	us.setEmergency(node, false)
	us.cut(node)
	n := us.nodes.At(node)
	us.part(n.thread)
	u := us.users.At(n.user)
	u.subscriptions--
	user := n.user
	*n = userNode{}
	us.nodes.Give(node)
	us.forget(user)
}

// cut takes a node out of its list.
func (us *userShard) cut(node uint32) {
	n := us.nodes.At(node)
	u := us.users.At(n.user)
	if n.before != 0 {
		us.nodes.At(n.before).after = n.after
	} else {
		u.head = n.after
	}
	if n.after != 0 {
		us.nodes.At(n.after).before = n.before
	} else {
		u.tail = n.before
	}
	n.before, n.after = 0, 0
}

// toFront moves a broken subscription to the front of its user's list.
func (us *userShard) toFront(node uint32) {
	us.cut(node)
	n := us.nodes.At(node)
	u := us.users.At(n.user)
	n.after = u.head
	if u.head != 0 {
		us.nodes.At(u.head).before = node
	} else {
		u.tail = node
	}
	u.head = node
}

func (us *userShard) setEmergency(node uint32, emergency bool) {
	n := us.nodes.At(node)
	if n.emergency == emergency {
		return
	}
	n.emergency = emergency
	if emergency {
		us.users.At(n.user).emergencies++
	} else {
		us.users.At(n.user).emergencies--
	}
}

// confirm notes the birth of a subscription that was accepted.
func (us *userShard) confirm(node uint32, birth uint64) {
	t := us.threads.At(us.nodes.At(node).thread)
	t.birth = max(t.birth, birth)
}

// prove notes the birth of a subscription that a NOTIFY of has got through.
func (us *userShard) prove(node uint32, birth uint64) {
	t := us.threads.At(us.nodes.At(node).thread)
	t.proven = max(t.proven, birth)
}

// rejoin puts a subscription into the thread of another key, and says whether it was in
// one of its own before.
func (us *userShard) rejoin(node uint32, key uint64) bool {
	n := us.nodes.At(node)
	if us.threads.At(n.thread).key == key {
		return false
	}
	us.part(n.thread)
	n.thread = us.join(key)
	return true
}

// superseded says whether a newer one of the same thread has been accepted, and whether
// one is proven. One whose SUBSCRIBE was not seen (birth 0) is older than any that was.
func (us *userShard) superseded(key, birth uint64) (accepted, proven bool) {
	slot := us.threadOf(key)
	if slot == 0 {
		return false, false
	}
	t := us.threads.At(slot)
	return t.birth > birth, t.proven > birth
}
