// Package periods tells the Engine when users sign in and out: when a period of
// registration begins and ends. Where other processes know the same users, those are asked
// first, through the Journal that all of them write to.
package periods

import (
	"context"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// Periods tells the Engine when users sign in and out.
type Periods struct {
	rec    dialogs.Recovery
	own    dialogs.Directory
	shared *Directory
}

// New makes Periods that are told to rec. shared is nil where nobody else knows the users
// of own.
func New(rec dialogs.Recovery, own dialogs.Directory, shared *Directory) *Periods {
	if shared != nil {
		shared.rec = rec
	}
	return &Periods{rec, own, shared}
}

// Ask has it found out whether a REGISTER begins a period. It is called before the
// registration is noted, for Settle asks what was written before.
func (p *Periods) Ask(aor string, at time.Time) {
	if p.shared != nil && p.rec.Known(aor) {
		p.shared.ask(question{aor: aor, at: at, change: !p.own.User(aor).Registered})
	}
}

// Began tells of a REGISTER. lapsed: an earlier period had ended by itself; began: this
// REGISTER begins one, as far as this process knows. Whether or not it does, it is a sign
// of life of a device.
func (p *Periods) Began(aor string, at time.Time, lapsed, began bool, device policy.Broken) {
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

// Lapsed tells that a registration was not refreshed here.
func (p *Periods) Lapsed(aor string, at time.Time) {
	if p.shared == nil {
		p.rec.Offer(aor, policy.Event{Kind: policy.Deregistered, At: at})
	} else if p.rec.Known(aor) {
		p.shared.ask(question{aor: aor, at: at, lapse: true, change: true})
	}
}

// question is a REGISTER, or the lapse of a registration, as one process sees it.
// Where several share the users, another may have seen more.
type question struct {
	aor   string
	at    time.Time
	lapse bool
	// change: as far as this process knows, a period began or ended.
	change bool
	// whose: it is not a period that is in question but whose identity this is.
	whose bool
}

// maxQuestions bounds those that wait for the Journal.
const maxQuestions = 4096

// Registration is what the Journal has of the registration of a user.
type Registration struct {
	Until     time.Time
	SCSCF     string
	Emergency bool
	// Identities are those of the user, if there are several: the user's first.
	Identities []string
}

// Directory is that of a process whose Journal other processes write to as well: a user
// may register by way of another replica each time, and what this one once saw is out of
// date soon. So registrations are looked up when one is needed, and a REGISTER is the
// beginning of a period only if the Journal knows of none.
type Directory struct {
	dialogs.Directory // of this process alone
	journal           store.Journal
	read              func(value []byte) (Registration, error)
	learn             func(identities []string, until time.Time)
	hurry             func()
	rec               dialogs.Recovery // set by New
	questions         chan question
}

// lookupTime bounds a look-up.
const lookupTime = time.Second

// Share makes the Directory of a process that shares the Journal j. own is what this process
// knows; read reads the value of a store.KindRegistration; learn is told of the identities
// of users that others have seen.
func Share(
	own dialogs.Directory, j store.Journal, read func(value []byte) (Registration, error), learn func(identities []string, until time.Time),
) *Directory {
	return &Directory{
		Directory: own, journal: j, read: read, learn: learn, hurry: func() {}, questions: make(chan question, maxQuestions),
	}
}

// Attach sets what has the Keeper call Settle soon.
func (d *Directory) Attach(hurry func()) { d.hurry = hurry }

// ask hands a question to the Keeper, or answers it by what is known here if there are
// too many. The first NOTIFY after a REGISTER is not far.
func (d *Directory) ask(q question) {
	select {
	case d.questions <- q:
		d.hurry()
	default:
		d.answer(q, !q.change)
	}
}

// Settle asks the Journal what this process does not know.
func (d *Directory) Settle(ctx context.Context) {
	for range len(d.questions) {
		q := <-d.questions
		registered := !q.change
		if r, ok, err := d.lookUp(ctx, q.aor); err == nil {
			registered = ok && r.Until.After(q.at)
		}
		d.answer(q, registered)
	}
}

// AskWhose has it found out whose identity this is, where somebody subscribes of whom
// nothing is known here.
func (d *Directory) AskWhose(identity string, at time.Time) {
	d.ask(question{aor: identity, at: at, whose: true})
}

// Whose finds out at once whose identity this is; that may take a second.
func (d *Directory) Whose(identity string) { _, _, _ = d.lookUp(context.Background(), identity) }

// answer offers what became of a question: whether there was a registration already,
// or is one still.
func (d *Directory) answer(q question, registered bool) {
	switch {
	case registered, q.whose:
	case q.lapse:
		d.rec.Offer(q.aor, policy.Event{Kind: policy.Deregistered, At: q.at})
	default:
		d.rec.Offer(q.aor, policy.Event{Kind: policy.Registered, At: q.at})
	}
}

// lookUp reads the registration of a user as all processes together know it.
func (d *Directory) lookUp(ctx context.Context, aor string) (Registration, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	e, ok, err := d.journal.Read(ctx, store.KindRegistration, aor)
	if err != nil || !ok {
		return Registration{}, false, err
	}
	r, err := d.read(e.Value)
	if err != nil {
		return r, false, err
	}
	if len(r.Identities) > 0 {
		d.learn(r.Identities, r.Until)
	}
	return r, true, nil
}

// User tells what is known of a user: what another replica saw counts as well.
func (d *Directory) User(aor string) dialogs.User {
	u := d.Directory.User(aor)
	if u.Registered {
		return u
	}
	r, ok, err := d.lookUp(context.Background(), aor)
	if err != nil || !ok || !r.Until.After(time.Now()) {
		return u
	}
	// Whether a server has the registration too is known to the replica in front of that one.
	u.Registered, u.SCSCF, u.Emergency = true, r.SCSCF, u.Emergency || r.Emergency
	return u
}
