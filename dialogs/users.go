package dialogs

import (
	"net/netip"
	"sync"
)

// userShard has the users (addresses of record) of some hashes: what each is
// subscribed to, and by which S-CSCF he is registered. Its lock may be taken
// while that of a subShard is held, never the other way round.
type userShard struct {
	mu     sync.Mutex
	byHash index
	users  slab[userRecord]
	nodes  slab[userNode]
	// newest has, per watcher, resource and event, the birth of the newest
	// subscription that was confirmed.
	newest map[uint64]newest
	// notes are the users whose registration waits for the Journal.
	notes map[string]struct{}

	_ [24]byte
}

// userRecord is one user. It lives as long as he has a subscription or a
// registration.
type userRecord struct {
	aor  string
	next uint32 // users of the same hash
	hash uint64
	// head and tail are the list of his subscriptions, the most recently broken
	// ones first.
	head, tail    uint32
	subscriptions int32
	emergencies   int32 // subscriptions with an emergency contact
	hop           hop   // that the last SUBSCRIBE came from
	registration  registration
}

// userNode is one subscription in the list of its user.
type userNode struct {
	user, before, after uint32
	ref                 Ref
	triple              uint64
	emergency           bool
}

type newest struct {
	birth uint64
	count int32 // subscriptions of this triple, whatever their age
}

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
	address := netip.AddrPortFrom(netip.AddrFrom16(h.addr).Unmap(), h.port).String()
	return "sip:" + address + [...]string{";transport=udp", ";transport=tcp", ";transport=tls"}[h.transport]
}

// find gives the slot of a user, or 0.
func (us *userShard) find(hash uint64, aor string) uint32 {
	for slot := us.byHash.get(tagOf(hash)); slot != 0; {
		u := us.users.at(slot)
		if u.hash == hash && u.aor == aor {
			return slot
		}
		slot = u.next
	}
	return 0
}

// need gives the slot of a user who is made if he is not known.
func (us *userShard) need(hash uint64, aor string) uint32 {
	if slot := us.find(hash, aor); slot != 0 {
		return slot
	}
	slot := us.users.take()
	*us.users.at(slot) = userRecord{aor: aor, hash: hash, next: us.byHash.get(tagOf(hash))}
	us.byHash.set(tagOf(hash), slot)
	return slot
}

// forget removes a user who has neither subscription nor registration.
func (us *userShard) forget(slot uint32) {
	u := us.users.at(slot)
	if u.subscriptions > 0 || u.registration.known() {
		return
	}
	if tag := tagOf(u.hash); us.byHash.get(tag) == slot {
		if u.next == 0 {
			us.byHash.drop(tag)
		} else {
			us.byHash.set(tag, u.next)
		}
	} else {
		before := us.byHash.get(tag)
		for before != 0 && us.users.at(before).next != slot {
			before = us.users.at(before).next
		}
		if before != 0 {
			us.users.at(before).next = u.next
		}
	}
	*u = userRecord{}
	us.users.give(slot)
}

// link adds a subscription at the end of its user's list.
func (us *userShard) link(hash uint64, aor string, ref Ref, triple uint64, emergency bool) uint32 {
	slot, node := us.need(hash, aor), us.nodes.take()
	u := us.users.at(slot)
	*us.nodes.at(node) = userNode{user: slot, before: u.tail, ref: ref, triple: triple}
	if u.tail != 0 {
		us.nodes.at(u.tail).after = node
	} else {
		u.head = node
	}
	u.tail = node
	u.subscriptions++
	us.setEmergency(node, emergency)
	n := us.newest[triple]
	n.count++
	us.newest[triple] = n
	return node
}

// unlink takes it out, and the user with his last one.
func (us *userShard) unlink(node uint32) {
	us.setEmergency(node, false)
	us.cut(node)
	n := us.nodes.at(node)
	triple := us.newest[n.triple]
	if triple.count--; triple.count <= 0 {
		delete(us.newest, n.triple)
	} else {
		us.newest[n.triple] = triple
	}
	u := us.users.at(n.user)
	u.subscriptions--
	user := n.user
	*n = userNode{}
	us.nodes.give(node)
	us.forget(user)
}

// cut takes a node out of its list.
func (us *userShard) cut(node uint32) {
	n := us.nodes.at(node)
	u := us.users.at(n.user)
	if n.before != 0 {
		us.nodes.at(n.before).after = n.after
	} else {
		u.head = n.after
	}
	if n.after != 0 {
		us.nodes.at(n.after).before = n.before
	} else {
		u.tail = n.before
	}
	n.before, n.after = 0, 0
}

// toFront moves a broken subscription to the front of its user's list.
func (us *userShard) toFront(node uint32) {
	us.cut(node)
	n := us.nodes.at(node)
	u := us.users.at(n.user)
	n.after = u.head
	if u.head != 0 {
		us.nodes.at(u.head).before = node
	} else {
		u.tail = node
	}
	u.head = node
}

func (us *userShard) setEmergency(node uint32, emergency bool) {
	n := us.nodes.at(node)
	if n.emergency == emergency {
		return
	}
	n.emergency = emergency
	if emergency {
		us.users.at(n.user).emergencies++
	} else {
		us.users.at(n.user).emergencies--
	}
}

// confirm notes the birth of a subscription that was accepted.
func (us *userShard) confirm(node uint32, birth uint64) {
	triple := us.nodes.at(node).triple
	if n := us.newest[triple]; birth > n.birth {
		n.birth = birth
		us.newest[triple] = n
	}
}

// superseded says whether a newer one of the same triple has been accepted.
// One whose SUBSCRIBE was not seen (birth 0) is older than any that was.
func (us *userShard) superseded(node uint32, birth uint64) bool {
	return us.newest[us.nodes.at(node).triple].birth > birth
}
