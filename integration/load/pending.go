package load

import "time"

// open is a transaction that waits for its end.
type open struct {
	transaction
	sent     time.Duration // on the generator's clock
	kind     Kind
	live     bool
	arrived  bool // the request has come to the other end
	answered bool // a final response has come
	mute     bool // the other end does not answer it
}

// pending is a ring of transactions by their number.
type pending struct {
	ring  []open
	next  uint64
	open  int // that can be expected to be answered
	muted int
}

func newPending(size int) *pending { return &pending{ring: make([]open, size), next: 1} }

// add opens a transaction. One that has waited for a whole turn of the ring
// gives up its place; lost tells so.
func (p *pending) add(o open) (seq uint64, lost bool) {
	o.seq, o.live = p.next, true
	p.next++
	at := &p.ring[o.seq%uint64(len(p.ring))]
	if at.live {
		lost = !at.mute
		p.end(at)
	}
	*at = o
	if o.mute {
		p.muted++
	} else {
		p.open++
	}
	return o.seq, lost
}

// find gives the transaction of a number, whether it is open still or has ended;
// nil if its place was taken.
func (p *pending) find(seq uint64) *open {
	at := &p.ring[seq%uint64(len(p.ring))]
	if at.seq != seq || seq == 0 {
		return nil
	}
	return at
}

// end closes a transaction; what is known of it stays for duplicates.
func (p *pending) end(o *open) {
	if !o.live {
		return
	}
	o.live = false
	if o.mute {
		p.muted--
	} else {
		p.open--
	}
}

// abandon closes all, and tells how many could have been expected to be answered.
func (p *pending) abandon() (lost int) {
	if p.open+p.muted == 0 {
		return 0
	}
	lost = p.open
	for i := range p.ring {
		p.end(&p.ring[i])
	}
	return lost
}
