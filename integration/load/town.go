package load

import (
	"math/rand/v2"
	"time"
)

// phone is a user of the town: one device with one subscription.
type phone struct {
	generation int
	era        int8 // where the core was when it subscribed
	home       int8 // where it was when it registered; -1: it never has
	registers  bool // it registers, and subscribes afterwards
	state      phoneState
	place      int // in town.live
	notified   uint32
	busy       bool          // a NOTIFY has no final response yet
	waits      bool          // it is in town.queue
	message    uint64        // hash of the Call-ID of the last MESSAGE
	needless   bool          // of that, the server knows no reason so far
	broken     time.Duration // when a subscription of the phone broke last
}

type phoneState uint8

const (
	lost        phoneState = iota // its subscription is gone and nobody has told it
	subscribing                   // its SUBSCRIBE is under way
	live                          // the server has its subscription
)

// town has all phones, and the subscriptions that the server has.
type town struct {
	rnd    *rand.Rand
	phones []phone
	live   []int // users with a subscription, in any order
	queue  []int // users who are about to subscribe
}

func newTown(users int, rnd *rand.Rand) *town {
	t := &town{rnd: rnd, phones: make([]phone, users)}
	for user := range t.phones {
		t.phones[user].home = -1
	}
	t.wake()
	return t
}

// wake has everyone subscribe, in a random order: at the start, or because the core has
// moved.
func (t *town) wake() {
	for _, user := range t.rnd.Perm(len(t.phones)) {
		t.enqueue(user)
	}
}

// enqueue has a phone subscribe anew. Until then the server keeps what it has.
func (t *town) enqueue(user int) {
	if p := &t.phones[user]; !p.waits {
		p.waits = true
		t.queue = append(t.queue, user)
	}
}

// first takes the next phone from the queue. It has to register where the core is new to
// it, else to subscribe, in the new dialog that is named.
func (t *town) first(era int8) (k Kind, dialog uint32) {
	user := t.queue[0]
	t.queue = t.queue[1:]
	p := &t.phones[user]
	p.waits = false
	if p.home != era {
		p.registers = true
		return Register, uint32(user) //nolint:gosec // small
	}
	t.leave(user)
	p.state = subscribing
	p.generation++
	p.notified, p.busy = 0, false
	return Subscribe, uint32(p.generation)*maxUsers + uint32(user) //nolint:gosec // both small
}

// registered: the server has taken a REGISTER of a phone.
func (t *town) registered(user int, era int8) {
	p := &t.phones[user]
	if p.home = era; p.registers {
		p.registers = false
		t.enqueue(user)
	}
}

func (t *town) leave(user int) {
	p := &t.phones[user]
	if p.state != live {
		return
	}
	last := t.live[len(t.live)-1]
	t.live[p.place] = last
	t.phones[last].place = p.place
	t.live = t.live[:len(t.live)-1]
	p.state = lost
}

// of gives the phone that a dialog is of, and whether that is its newest.
func (t *town) of(dialog uint32) (user int, p *phone, current bool) {
	user = int(dialog % maxUsers)
	p = &t.phones[user]
	return user, p, p.generation == int(dialog/maxUsers)
}

// subscribed: the server has taken a SUBSCRIBE.
func (t *town) subscribed(dialog uint32, era int8) {
	user, p, current := t.of(dialog)
	if !current || p.state != subscribing {
		return
	}
	p.state, p.era, p.place = live, era, len(t.live)
	t.live = append(t.live, user)
}

// broke: the server has given a subscription up.
func (t *town) broke(dialog uint32, now time.Duration) {
	user, p, current := t.of(dialog)
	p.broken, p.needless = now, false
	if current {
		t.leave(user)
	}
}

// told: a MESSAGE has come to a phone, which subscribes anew, once for each. If it has
// lost nothing, by what the server knows, then the server has yet to hear of a loss.
func (t *town) told(user int, callID uint64, now time.Duration) {
	p := &t.phones[user]
	if p.message == callID {
		return
	}
	p.message = callID
	p.needless = p.state == live && (p.broken == 0 || now-p.broken > time.Minute)
	t.enqueue(user)
}

// needless is how many phones had a MESSAGE and have lost nothing.
func (t *town) needless() (n int) {
	for user := range t.phones {
		if t.phones[user].needless {
			n++
		}
	}
	return n
}

// restarted: the core forgets the requests that were under way, so the phones try again.
func (t *town) restarted() {
	for user := range t.phones {
		if p := &t.phones[user]; p.state == subscribing || p.registers {
			t.enqueue(user)
		}
	}
}

// next gives a subscription that the server has something to tell, and the CSeq; false:
// there is none at the moment.
func (t *town) next() (dialog, cseq uint32, ok bool) {
	for range min(8, len(t.live)) {
		user := t.live[t.rnd.IntN(len(t.live))]
		if p := &t.phones[user]; !p.busy {
			p.busy = true
			p.notified++
			return uint32(p.generation)*maxUsers + uint32(user), firstCSeq + p.notified, true //nolint:gosec // both small
		}
	}
	return 0, 0, false
}

// ended: a NOTIFY has its final response.
func (t *town) ended(dialog uint32) {
	if _, p, current := t.of(dialog); current {
		p.busy = false
	}
}

// without is how many have no subscription.
func (t *town) without() int { return len(t.phones) - len(t.live) }
