package store

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// Kind is what an Entry of a Journal is about.
type Kind uint8

const (
	// KindSubscription is a subscription of a server behind this process. No
	// other process has anything to do with it.
	KindSubscription Kind = iota + 1
	// KindRegistration is the registration of a user, whichever process saw it.
	KindRegistration
	// KindAlarm is an alarm that this process has raised.
	KindAlarm
	// KindOutage is a next hop that this process holds, or all of them.
	KindOutage
	// KindLost is a watcher whom an outage broke and who waits for its end.
	KindLost
	// KindFlap is a user who was signed out lately.
	KindFlap
	// KindSignOuts counts the de-REGISTERs of the last hour.
	KindSignOuts
	// KindHost is a host that the server behind this process has named.
	KindHost
	// KindRegister is a third-party REGISTER that waits for the server behind this process.
	KindRegister
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{KindSubscription, KindRegistration, KindAlarm, KindOutage, KindLost, KindFlap, KindSignOuts, KindHost, KindRegister}
}

// Shared says whether all the processes on one store know the entries of this kind
// together, or each its own.
func (k Kind) Shared() bool { return k == KindRegistration || k == KindFlap }

// String is the word by which stores keep the kinds apart.
func (k Kind) String() string {
	switch k {
	case KindSubscription:
		return "subscription"
	case KindRegistration:
		return "registration"
	case KindAlarm:
		return "alarm"
	case KindOutage:
		return "outage"
	case KindLost:
		return "lost"
	case KindFlap:
		return "flap"
	case KindSignOuts:
		return "sign-outs"
	case KindHost:
		return "host"
	case KindRegister:
		return "register"
	}
	return "unknown"
}

// Entry is one thing that was learnt and would be hard to learn again.
type Entry struct {
	Kind Kind
	Key  string
	// Value is empty where the entry ceases to be.
	Value []byte
	// Until is when the entry means nothing any more; zero is never.
	Until time.Time
}

// Journal keeps what was learnt besides the states of a Store: who is subscribed,
// who is registered, which alarms are raised, what an outage broke. It is written
// behind, in batches, away from the SIP path, and read when a process starts.
//
// # Why
//
// A Store is asked before anything is done, so it compares versions; what is in
// a Journal are facts that one process saw, so the last word holds. There are a
// thousand times more of them, hence the batches. And because their bytes mean
// nothing to a Journal, a store that is to keep them stays small.
type Journal interface {
	// Write keeps a batch and returns when it is as safe as it will be. Of
	// entries with one key the last counts.
	Write(ctx context.Context, batch []Entry) error
	// Read returns one entry; false if there is none.
	Read(ctx context.Context, kind Kind, key string) (Entry, bool, error)
	// Entries walks over the entries of a kind, in no order, those of other
	// processes left out unless the kind is shared. After an error it ends.
	Entries(ctx context.Context, kind Kind) iter.Seq2[Entry, error]
}

// With gives the entry a value, as JSON: it is little, and an operator may have to read
// it one night.
func (e Entry) With(value any, until time.Time) Entry {
	b, err := json.Marshal(value)
	if err != nil {
		return e // which cannot be, for these types
	}
	e.Value, e.Until = b, until
	return e
}

// over says whether an entry means nothing any more.
func (e Entry) over(now time.Time) bool { return !e.Until.IsZero() && !now.Before(e.Until) }
