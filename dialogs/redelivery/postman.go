package redelivery

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"rewatch/dialogs"
)

// Options are what a Postman needs.
type Options struct {
	Config

	// Rate is how many attempts begin in a second, at most; 0: no limit
	// (REWATCH_MESSAGE_RATE).
	Rate float64
	// Send sends an attempt; how it ends is told by Outcome with the same id. It is
	// false where there is no room for it now.
	Send func(id uint64, p dialogs.Parcel) bool
	// Hurry has an attempt sent again now, Recall has it not sent again; nil: neither.
	Hurry, Recall func(id uint64)
	// Open tells whether a hop may be tried now; during an outage it may not.
	Open func(hop netip.AddrPort) bool
	// Alone tells of an answer that it says nothing of the subscription; nil: none does.
	Alone func(o *dialogs.Outcome) bool
	// Ended is told of each NOTIFY that has ended by an attempt or by time, and of the
	// outcome that ended it. It is called without any lock.
	Ended func(e End, o *dialogs.Outcome)
	// Sure tells whether it is certain that no other replica has taken over what is kept.
	// Until then nothing is given back because of its age; nil: it is.
	Sure func() bool
	// Notes is told what happens; nil: nobody.
	Notes Notes
}

// Postman runs a Keeper: it lets time pass for it and sends what is due. Its methods may
// be called from any goroutine and do not block; they call nobody.
type Postman struct {
	opt   Options
	some  atomic.Int64 // of Keeper.Pending
	wake  chan struct{}
	limit *rate.Limiter

	mu     sync.Mutex
	keeper *Keeper
	flying map[uint64]Attempt
	looked time.Time // for what is over
}

const (
	// look is how often a Postman looks for what is over.
	look = time.Second
	// shut is for how long an attempt is put off whose hop is held, or that found no room.
	shut = 2 * time.Second
)

// NewPostman makes a Postman. It does nothing before Run.
func NewPostman(o Options) *Postman {
	limit := rate.Inf
	if o.Rate > 0 {
		limit = rate.Limit(o.Rate)
	}
	return &Postman{
		opt: o, wake: make(chan struct{}, 1), limit: rate.NewLimiter(limit, 1), keeper: New(o.Config), flying: map[uint64]Attempt{},
	}
}

// Keep is Keeper.Keep. The bytes are copied.
func (p *Postman) Keep(now time.Time, n Notify) (bool, []End) {
	n.Parcel.Raw = bytes.Clone(n.Parcel.Raw)
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.count()
	ok, ends := p.keeper.Keep(now, n)
	if ok {
		p.kept(now, &n)
	}
	p.signal()
	return ok, p.ended(now, ends)
}

// count is called with the lock held.
func (p *Postman) count() { p.some.Store(int64(p.keeper.Pending())) }

func (p *Postman) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Some tells whether Holds could be true of any dialog, for the price of a load.
func (p *Postman) Some() bool { return p.some.Load() > 0 }

// Alive is Keeper.Alive.
func (p *Postman) Alive(now time.Time, user, device string) {
	p.change(func() { p.keeper.Alive(now, user, device) })
}

// Drop is Keeper.Drop.
func (p *Postman) Drop(dialog uint64, r Result) (ends []End) {
	p.change(func() { ends = p.ended(time.Now(), p.keeper.Drop(dialog, r)) })
	return ends
}

// Had is Keeper.Had.
func (p *Postman) Had(now time.Time, dialog uint64, cseq uint32) (ends []End) {
	p.change(func() { ends = p.ended(now, p.keeper.Had(now, dialog, cseq)) })
	return ends
}

// Free is Keeper.Free.
func (p *Postman) Free(now time.Time, dialog uint64) {
	p.change(func() { p.keeper.Free(now, dialog) })
}

// Reached is Keeper.Reached.
func (p *Postman) Reached(now time.Time, dialog uint64, old, contact string) {
	p.change(func() { p.keeper.Reached(now, dialog, old, contact) })
}

// Overtake is Keeper.Overtake.
func (p *Postman) Overtake(dialog uint64, cseq uint32) {
	p.change(func() { p.keeper.Overtake(dialog, cseq) })
}

// change has the Keeper changed under the lock, if it keeps anything.
func (p *Postman) change(do func()) {
	if !p.Some() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	p.count()
	p.signal()
}

// Holds is Keeper.Holds.
func (p *Postman) Holds(dialog uint64) bool { return p.ask(dialog, (*Keeper).Holds) }

// Keeps is Keeper.Keeps.
func (p *Postman) Keeps(dialog uint64) bool { return p.ask(dialog, (*Keeper).Keeps) }

func (p *Postman) ask(dialog uint64, what func(*Keeper, uint64) bool) bool {
	if !p.Some() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return what(p.keeper, dialog)
}

// Outcome tells how the attempt with that id ended.
func (p *Postman) Outcome(id uint64, o dialogs.Outcome) {
	if ends := p.done(id, &o); len(ends) > 0 {
		p.tell(ends, &o)
	}
	p.signal()
}

func (p *Postman) done(id uint64, o *dialogs.Outcome) []End {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.count()
	a, ok := p.flying[id]
	if !ok {
		return nil // a late answer
	}
	delete(p.flying, id)
	a.Alone = p.opt.Alone != nil && p.opt.Alone(o)
	if p.opt.Notes != nil {
		p.opt.Notes.Tried(&a, o)
	}
	return p.ended(o.At, p.keeper.Done(o.At, &a, Classify(o)))
}

func (p *Postman) tell(ends []End, o *dialogs.Outcome) {
	for _, e := range ends {
		p.opt.Ended(e, o)
	}
}

// Run sends what is due until ctx is done.
func (p *Postman) Run(ctx context.Context) {
	for ctx.Err() == nil {
		p.calls()
		if !p.Some() {
			p.rest(ctx, 0)
			continue
		}
		now := time.Now()
		p.expire(now)
		a, next := p.next(now)
		switch {
		case a.ID == 0:
			p.rest(ctx, min(look, max(time.Millisecond, next.Sub(now))))
		case !p.opt.Open(a.Hop), !a.Prompt && p.pace(ctx) != nil:
			p.postpone(a.ID, now)
		default:
			p.send(&a)
		}
	}
}

// calls has attempts sent again, and others not.
func (p *Postman) calls() {
	p.mu.Lock()
	hurried, recalled, over := p.keeper.Calls()
	for _, id := range over {
		delete(p.flying, id) // how it ends is not told
	}
	p.mu.Unlock()
	if p.opt.Hurry == nil {
		return
	}
	for _, id := range hurried {
		p.opt.Hurry(id)
	}
	for _, id := range recalled {
		p.opt.Recall(id)
	}
}

// expire ends what has been kept for too long.
func (p *Postman) expire(now time.Time) {
	if now.Sub(p.looked) < look || p.opt.Sure != nil && !p.opt.Sure() {
		return
	}
	p.looked = now
	p.mu.Lock()
	ends := p.ended(now, p.keeper.Expire(now))
	p.count()
	p.mu.Unlock()
	p.tell(ends, &dialogs.Outcome{Kind: dialogs.TimedOut, At: now, RetryAfter: -1})
}

// next takes the attempt that is due; its ID is 0 where none is before next.
func (p *Postman) next(now time.Time) (a Attempt, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, next, ok := p.keeper.Next(now)
	if !ok {
		if next.IsZero() {
			next = now.Add(look) // all are under way
		}
		return Attempt{}, next
	}
	a.At = now
	p.flying[a.ID] = a
	return a, next
}

func (p *Postman) postpone(id uint64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a, ok := p.flying[id]; ok {
		delete(p.flying, id)
		p.keeper.Postpone(&a, now.Add(shut))
	}
}

// send sends an attempt, unless it came to nothing while it waited for its rate.
func (p *Postman) send(a *Attempt) {
	p.mu.Lock()
	wanted := p.keeper.under(a) != nil
	p.mu.Unlock()
	if wanted && !p.opt.Send(a.ID, a.Parcel) {
		p.postpone(a.ID, time.Now())
	}
}

// Last tries all that is kept once more, because the process is about to end: what is
// left then counts as failed in the next one. It waits until all attempts have ended, at
// most until ctx is done. Run goes on meanwhile.
func (p *Postman) Last(ctx context.Context) (left int) {
	p.mu.Lock()
	for _, u := range p.keeper.users {
		for _, v := range u.devices {
			p.keeper.alive(time.Now(), v)
		}
	}
	p.mu.Unlock()
	p.signal()
	t := time.NewTicker(look / 10)
	defer t.Stop()
	for {
		if left, _ = p.Totals(); left == 0 {
			return 0
		}
		select {
		case <-ctx.Done():
			return left
		case <-t.C:
		}
	}
}
