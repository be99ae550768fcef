package redelivery

import (
	"time"

	"rewatch/dialogs"
)

// Notes is told what becomes of what is kept, for people to see. It is called with the
// Postman's lock held: it must not call the Postman, nor block.
type Notes interface {
	// Kept tells of a NOTIFY that is kept now. What waits for its user is n NOTIFYs, the
	// first since then; here and below.
	Kept(at time.Time, kept *Notify, n int, since time.Time)
	// Tried tells how an attempt went.
	Tried(a *Attempt, o *dialogs.Outcome)
	// Ended tells of the end of a NOTIFY, but for those that were replaced.
	Ended(at time.Time, e *End, n int, since time.Time)
}

// Len is how many NOTIFYs are kept, Bytes what they cost.
func (k *Keeper) Len() int { return k.kept }

// Bytes is what is kept costs.
func (k *Keeper) Bytes() int { return k.bytes }

// Waiting tells how many NOTIFYs are kept for a user, and since when the first.
func (k *Keeper) Waiting(name string) (n int, since time.Time) {
	u := k.users[name]
	if u == nil {
		return 0, time.Time{}
	}
	for _, v := range u.devices {
		for _, d := range v.dialogs {
			n += len(d.queue) - d.again()
			if !d.keeps() {
				continue
			}
			if since.IsZero() || d.since.Before(since) {
				since = d.since
			}
		}
	}
	return n, since
}

// ended notes ends, and gives them back. The lock is held.
func (p *Postman) ended(at time.Time, ends []End) []End {
	if p.opt.Notes == nil {
		return ends
	}
	for i := range ends {
		if ends[i].Result != Replaced {
			n, since := p.keeper.Waiting(ends[i].User)
			p.opt.Notes.Ended(at, &ends[i], n, since)
		}
	}
	return ends
}

// kept notes what was kept. The lock is held.
func (p *Postman) kept(at time.Time, n *Notify) {
	if p.opt.Notes != nil {
		waiting, since := p.keeper.Waiting(n.User)
		p.opt.Notes.Kept(at, n, waiting, since)
	}
}

// Waiting is Keeper.Waiting.
func (p *Postman) Waiting(user string) (n int, since time.Time) {
	if !p.Some() {
		return 0, time.Time{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keeper.Waiting(user)
}

// Totals are how many NOTIFYs are kept and what they cost, in bytes.
func (p *Postman) Totals() (n, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keeper.Len(), p.keeper.Bytes()
}
