package monitor

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/monitor/slab"
)

// userShard has the users (addresses of record) of some hashes, with their subscriptions and
// registrations. Its lock may be taken while the lock of a subShard is held, never the
// other way round.
type userShard struct {
	mu     sync.Mutex
	byHash slab.Index
	users  slab.Slab[userRecord]
	nodes  slab.Slab[userNode]
	// threads are by watcher, device, resource and event package.
	byThread slab.Index
	threads  slab.Slab[thread]
	// notes are the users whose registration has to be written to the Journal.
	notes map[string]struct{}
	texts *atomic.Int64 // of the Table
}

// userRecord is one user. It is kept as long as the user has a subscription or a
// registration.
type userRecord struct {
	aor  string
	hash uint64
	next uint32 // user of the same hash
	// head and tail are the list of its subscriptions, the most recently failed one first.
	head, tail    uint32
	subscriptions int32
	emergencies   int32 // of them those with an emergency contact
	hop           hop   // the neighbour that the last SUBSCRIBE came from
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

// thread is the sequence of a device's subscriptions to one resource and event package, each
// of which replaces the one before.
type thread struct {
	key    uint64 // hashThread
	birth  uint64 // of the newest subscription that was accepted
	proven uint64 // birth of the newest one with a NOTIFY that was answered with a 2xx
	// refused is when a refresh of one of them was answered 481, in Unix nanoseconds.
	refused int64
	next    uint32 // thread of the same tag
	count   int32  // how many subscriptions there are
}

func (t *thread) link() *uint32 { return &t.next }

// hop is the address of a neighbour; unlike netip.Addr it has no pointer.
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

// uri is the URI of this neighbour; "" if none is known.
func (h hop) uri() string {
	if !h.known {
		return ""
	}
	return "sip:" + h.addrPort().String() + [...]string{";transport=udp", ";transport=tcp", ";transport=tls"}[h.transport]
}

// addrPort is the address of this neighbour; not valid if none is known.
func (h hop) addrPort() netip.AddrPort {
	if !h.known {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16(h.addr).Unmap(), h.port)
}

// hopOf is the neighbour that the last SUBSCRIBE of a subscription's user came from.
func (t *Table) hopOf(s *subscription) hop {
	us, _ := t.userShard(s.watcher())
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

// canonicalUser gives the user of a URI, canonical. For a known user it is the stored string,
// which costs no allocation.
func (t *Table) canonicalUser(uri []byte) (user string, ok bool) {
	var scratch [aor.MaxScratch]byte
	canonical, ok := aor.Append(scratch[:0], uri)
	if !ok {
		return "", false
	}
	return t.knownUser(canonical), true
}

// knownUser gives the user that has an identity, as the stored string if the user is known.
func (t *Table) knownUser(canonical []byte) string {
	if user := t.identities.UserOf(canonical); user != "" {
		return user
	}
	hash := maphash.Bytes(t.seed, canonical) // equals the hash of the string
	us := &t.users[shardNumber(hash)]
	us.mu.Lock()
	defer us.mu.Unlock()
	if slot := findUser(us, hash, canonical); slot != 0 {
		return us.users.At(slot).aor
	}
	return string(canonical)
}

// enter adds a user that is not known yet. It keeps aor, which must not be a part of a
// longer string.
func (us *userShard) enter(hash uint64, aor string) uint32 {
	slot := us.users.Take()
	*us.users.At(slot) = userRecord{aor: aor, hash: hash, next: us.byHash.Get(slab.TagOf(hash))}
	us.byHash.Set(slab.TagOf(hash), slot)
	us.texts.Add(int64(len(aor)))
	return slot
}

// forget removes a user that has neither subscription nor registration.
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

// threadOf gives the slot of the thread with a key, or 0.
func (us *userShard) threadOf(key uint64) uint32 {
	slot := us.byThread.Get(slab.TagOf(key))
	for slot != 0 && us.threads.At(slot).key != key {
		slot = us.threads.At(slot).next
	}
	return slot
}

// part removes a subscription from its thread, and the thread with its last one.
func (us *userShard) part(slot uint32) {
	t := us.threads.At(slot)
	if t.count--; t.count > 0 {
		return
	}
	slab.Unchain(&us.byThread, &us.threads, slab.TagOf(t.key), slot, (*thread).link)
	*t = thread{}
	us.threads.Give(slot)
}

// unlink removes a subscription, and the user with its last one.
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

// cut removes a node from the list of its user.
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

// toFront moves a failed subscription to the front of its user's list.
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

// rank notes the birth of a subscription that was accepted, and perhaps proven.
func (us *userShard) rank(node uint32, birth uint64, proven bool) {
	t := us.threads.At(us.nodes.At(node).thread)
	t.birth = max(t.birth, birth)
	if proven {
		t.proven = max(t.proven, birth)
	}
}

// rejoin moves a subscription to the thread with a key; false if it is there already.
func (us *userShard) rejoin(node uint32, key uint64) bool {
	n := us.nodes.At(node)
	if us.threads.At(n.thread).key == key {
		return false
	}
	us.part(n.thread)
	n.thread = us.join(key)
	return true
}

// superseded says whether a newer subscription of the thread was accepted, and whether one is
// proven. One whose SUBSCRIBE was not seen (birth 0) is older than any other.
func (us *userShard) superseded(key, birth uint64) (accepted, proven bool) {
	slot := us.threadOf(key)
	if slot == 0 {
		return false, false
	}
	t := us.threads.At(slot)
	return t.birth > birth, t.proven > birth
}

// admit counts one more registered user, whose record is in a slot (0: it has none). It gives
// the slot of the record, or 0 if there is no room. The shard is locked.
func (t *Table) admit(us *userShard, slot uint32, hash uint64, aor string) uint32 {
	if t.registered.Add(1) > int64(t.cfg.MaxSubscriptions) || t.textsFull(len(aor)) {
		t.registered.Add(-1)
		t.untracked[untrackedFull].Inc()
		return 0
	}
	if slot == 0 {
		return us.enter(hash, aor)
	}
	return slot
}

// clearRegistration ends the registration of a user; the lock of us is held.
func (t *Table) clearRegistration(us *userShard, slot uint32) {
	u := us.users.At(slot)
	if !u.registration.known() {
		return
	}
	t.texts.Add(-int64(len(u.registration.scscf) + len(u.registration.identities)))
	u.registration = registration{}
	t.registered.Add(-1)
	us.forget(slot)
}
