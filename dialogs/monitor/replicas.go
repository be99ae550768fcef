package monitor

import (
	"context"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// doubt is a REGISTER, or the lapse of a registration, as one process sees it.
// Where several share the users, another may have seen more.
type doubt struct {
	aor   string
	at    time.Time
	lapse bool
	// change: as far as this process knows, a period began or ended.
	change bool
}

// maxDoubts bounds those that wait for the Journal.
const maxDoubts = 4096

// knower is the part of an Engine that says of whom it knows anything. To all
// others it makes no difference when they registered.
type knower interface{ Known(aor string) bool }

// periods tells the Engine when users sign in and out. Where other processes know the
// same users, those are asked first.
type periods struct {
	*Table
	rec dialogs.Recovery
}

func (p *periods) matters(aor string) bool {
	k, ok := p.rec.(knower)
	return !ok || k.Known(aor)
}

// ask has it found out whether a REGISTER begins a period. It comes
// before the registration is noted: see Keeper.flush.
func (p *periods) ask(aor string, at time.Time) {
	if p.shared != nil && p.matters(aor) {
		p.shared.ask(doubt{aor: aor, at: at, change: !p.User(aor).Registered})
	}
}

// heardHere tells of a REGISTER where nobody else could know more. Whether or
// not it begins a period, it is a sign of life.
func (p *periods) heardHere(aor string, at time.Time, lapsed, began bool, device policy.Broken) {
	if (p.shared != nil || !lapsed && !began) && p.rec.Interested(aor) {
		p.rec.Offer(aor, policy.Event{Kind: policy.Refreshed, At: at, Sub: device})
	}
	if p.shared != nil {
		return
	}
	if lapsed {
		p.rec.Offer(aor, policy.Event{Kind: policy.Deregistered, At: at})
	}
	if began {
		p.rec.Offer(aor, policy.Event{Kind: policy.Registered, At: at})
	}
}

// lapsed tells that a registration was not refreshed here.
func (p *periods) lapsed(aor string, at time.Time) {
	if p.shared == nil {
		p.rec.Offer(aor, policy.Event{Kind: policy.Deregistered, At: at})
	} else if p.matters(aor) {
		p.shared.ask(doubt{aor: aor, at: at, lapse: true, change: true})
	}
}

// SharedDirectory is the Directory of a Table whose Journal other processes write to as
// well: a user may register by way of another replica each time, and what this one once
// saw is out of date soon. So registrations are looked up when one is needed, and a
// REGISTER is the beginning of a period only if the Journal knows of none.
type SharedDirectory struct {
	*Table
	journal store.Journal
	hurry   func()           // set by the Source
	rec     dialogs.Recovery // set by New
	doubts  chan doubt
}

var _ dialogs.Directory = (*SharedDirectory)(nil)

// lookupTime bounds a look-up.
const lookupTime = time.Second

// Share has a Table ask a Journal that other processes write to as well. It is called
// before New.
func (t *Table) Share(j store.Journal) *SharedDirectory {
	t.shared = &SharedDirectory{Table: t, journal: j, hurry: func() {}, doubts: make(chan doubt, maxDoubts)}
	return t.shared
}

// ask hands a doubt to the Keeper, or settles it by what is known here if there are
// too many. The first NOTIFY after a REGISTER is not far.
func (d *SharedDirectory) ask(q doubt) {
	select {
	case d.doubts <- q:
		d.hurry()
	default:
		d.settle(q, !q.change)
	}
}

// settleDoubts asks the Journal what this process does not know.
func (d *SharedDirectory) settleDoubts(ctx context.Context) {
	for range len(d.doubts) {
		q := <-d.doubts
		registered := !q.change
		if r, ok, err := d.lookUp(ctx, q.aor); err == nil {
			registered = ok && r.until > q.at.UnixNano()
		}
		d.settle(q, registered)
	}
}

// settle offers what became of a doubt: whether there was a registration already,
// or is one still.
func (d *SharedDirectory) settle(q doubt, registered bool) {
	switch {
	case registered:
	case q.lapse:
		d.rec.Offer(q.aor, policy.Event{Kind: policy.Deregistered, At: q.at})
	default:
		d.rec.Offer(q.aor, policy.Event{Kind: policy.Registered, At: q.at})
	}
}

// lookUp reads the registration of a user as all processes together know it.
func (d *SharedDirectory) lookUp(ctx context.Context, aor string) (registration, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	e, ok, err := d.journal.Read(ctx, store.KindRegistration, aor)
	if err != nil || !ok {
		return registration{}, false, err
	}
	r, err := readRegistration(e.Value)
	return r, err == nil, err
}

// User tells what is known of a user: what another replica saw counts as well.
func (d *SharedDirectory) User(aor string) dialogs.User {
	u := d.Table.User(aor)
	if u.Registered {
		return u
	}
	r, ok, err := d.lookUp(context.Background(), aor)
	if err != nil || !ok || r.until <= time.Now().UnixNano() {
		return u
	}
	// Whether a server has it too is a matter of the replica in front of that one.
	u.Registered, u.SCSCF, u.Emergency = true, r.scscf, u.Emergency || r.emergency
	return u
}
