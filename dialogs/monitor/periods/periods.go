// Package periods tells the Engine when the registration of a user begins and ends. Where
// replicas share the users, it first looks into the Journal that all of them write to.
package periods

import (
	"context"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// Periods tells the Engine when registrations begin and end.
type Periods struct {
	rec    dialogs.Recovery
	own    dialogs.Directory
	shared *Directory
}

// New makes Periods that tell rec. own has the registrations of this process; shared is nil
// where no other process shares the users.
func New(rec dialogs.Recovery, own dialogs.Directory, shared *Directory) *Periods {
	if shared != nil {
		shared.rec = rec
	}
	return &Periods{rec, own, shared}
}

// Ask asks the shared Journal whether a REGISTER begins a registration. It is called before the
// REGISTER is noted, so that Settle reads the Journal before the REGISTER is written to it.
func (p *Periods) Ask(aor string, at time.Time) {
	if p.shared != nil && p.rec.Known(aor) {
		p.shared.ask(question{aor: aor, at: at, change: !p.own.User(aor).Registered})
	}
}

// Began tells of a REGISTER. lapsed: an earlier registration had expired; began: this REGISTER
// begins one, as far as this process knows. Any REGISTER is a sign of life of a device.
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

// Lapsed tells that a registration was not refreshed at this process.
func (p *Periods) Lapsed(aor string, at time.Time) {
	if p.shared == nil {
		p.rec.Offer(aor, policy.Event{Kind: policy.Deregistered, At: at})
	} else if p.rec.Known(aor) {
		p.shared.ask(question{aor: aor, at: at, lapse: true, change: true})
	}
}

// question is a REGISTER, or an expired registration, as one process sees it. Another replica
// may have seen more.
type question struct {
	aor   string
	at    time.Time
	lapse bool
	// change: as far as this process knows, a registration began or ended.
	change bool
	// whose: the question is which user aor is an identity of.
	whose bool
}

// maxQuestions bounds the questions that wait for the Journal.
const maxQuestions = 4096

// Registration is what the Journal has of the registration of a user.
type Registration struct {
	Until     time.Time
	SCSCF     string
	Emergency bool
	// Identities are the identities of the user if it has several, the user itself first.
	Identities []string
}

// Directory is the dialogs.Directory of a process that shares its Journal: a user may register
// through another replica each time, so what this one has seen is soon out of date. So a
// registration is looked up when it is needed, and a REGISTER begins a registration only if
// the Journal has none.
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
// knows; read reads the value of a store.KindRegistration; learn is told identities that
// other replicas have seen.
func Share(
	own dialogs.Directory, j store.Journal, read func(value []byte) (Registration, error), learn func(identities []string, until time.Time),
) *Directory {
	return &Directory{
		Directory: own, journal: j, read: read, learn: learn, hurry: func() {}, questions: make(chan question, maxQuestions),
	}
}

// Attach sets the function that makes the Keeper call Settle soon.
func (d *Directory) Attach(hurry func()) { d.hurry = hurry }

// ask keeps a question for Settle, or answers it by what is known here if there are too many.
func (d *Directory) ask(q question) {
	select {
	case d.questions <- q:
		d.hurry()
	default:
		d.answer(q, !q.change)
	}
}

// Settle looks the waiting questions up in the Journal.
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

// AskWhose asks which user an unknown identity belongs to; Settle learns the answer.
func (d *Directory) AskWhose(identity string, at time.Time) {
	d.ask(question{aor: identity, at: at, whose: true})
}

// Whose does the same at once, which may take a second.
func (d *Directory) Whose(identity string) { _, _, _ = d.lookUp(context.Background(), identity) }

// answer tells the Engine what follows from a question. registered: there was a registration
// already, or there still is one.
func (d *Directory) answer(q question, registered bool) {
	switch {
	case registered, q.whose:
	case q.lapse:
		d.rec.Offer(q.aor, policy.Event{Kind: policy.Deregistered, At: q.at})
	default:
		d.rec.Offer(q.aor, policy.Event{Kind: policy.Registered, At: q.at})
	}
}

// lookUp reads the registration of a user in the shared Journal.
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

// User gives what is known of a user, by this replica or by another one.
func (d *Directory) User(aor string) dialogs.User {
	u := d.Directory.User(aor)
	if u.Registered {
		return u
	}
	r, ok, err := d.lookUp(context.Background(), aor)
	if err != nil || !ok || !r.Until.After(time.Now()) {
		return u
	}
	// AtServer is known only to the replica in front of that server.
	u.Registered, u.SCSCF, u.Emergency = true, r.SCSCF, u.Emergency || r.Emergency
	return u
}
