package store

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// Kind is what an Entry of a Journal is about.
type Kind uint8

// The kinds, each with the process that knows of it.
const (
	KindSubscription Kind = iota + 1 // a subscription at the server behind this process
	KindRegistration                 // the registration of a user, whichever process saw it
	KindAlarm                        // an alarm that this process has raised
	KindOutage                       // a next hop that this process holds, or all of them
	KindLost                         // a watcher whose subscription an outage broke, and who waits for its end
	KindFlap                         // a user who was signed out lately, by whichever process
	KindSignOuts                     // how many de-REGISTERs this process sent in the last hour
	KindHost                         // a host that the server behind this process has named
	KindRegister                     // a third-party REGISTER that waits for the server behind this process
	KindReplica                      // the sign of life of a process; it expires
	KindKept                         // a subscription for which a process keeps NOTIFYs; another one takes it if that is gone
)

var kindNames = [...]string{
	"unknown", "subscription", "registration", "alarm", "outage", "lost", "flap", "sign-outs", "host", "register", "replica", "kept",
}

// Kinds lists every Kind.
func Kinds() (all []Kind) {
	for k := KindSubscription; int(k) < len(kindNames); k++ {
		all = append(all, k)
	}
	return all
}

// Shared says whether all processes on one store share the entries of this kind.
// Entries of any other kind belong to the process that wrote them.
func (k Kind) Shared() bool {
	return k == KindRegistration || k == KindFlap || k == KindReplica || k == KindKept
}

// String is the name of the kind in the keys of the stores.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		k = 0
	}
	return kindNames[k]
}

// Entry is one fact that would be hard to learn again.
type Entry struct {
	Kind Kind
	Key  string
	// Value is empty where the entry is to be removed.
	Value []byte
	// Until is when the entry expires; zero is never.
	Until time.Time
}

// EntryID names an entry within one store.
type EntryID struct {
	Kind Kind
	Key  string
}

// ID gives the name of the entry.
func (e Entry) ID() EntryID { return EntryID{e.Kind, e.Key} }

// Over says whether the entry has expired.
func (e Entry) Over(now time.Time) bool { return !e.Until.IsZero() && !now.Before(e.Until) }

// Journal keeps the facts beside the states of a Store: subscriptions, registrations,
// raised alarms, what an outage broke. The Keeper writes it in batches, away from the SIP
// path, and reads it when the process starts.
//
// # Why
//
// A Store is asked before anything is done, so it compares versions. A Journal has facts
// that one process saw, so the last value written holds. There are a thousand times more
// facts than states, hence the batches. A Journal does not look into the values.
type Journal interface {
	// Write keeps a batch and returns when the batch is as safe as the store can make it.
	// Of entries with one key the last one counts.
	Write(ctx context.Context, batch []Entry) error
	// Read returns one entry; false if there is none, or if it has expired.
	Read(ctx context.Context, kind Kind, key string) (Entry, bool, error)
	// Entries walks over the entries of a kind, in no order; entries of other processes
	// only if the kind is shared. It ends after an error.
	Entries(ctx context.Context, kind Kind) iter.Seq2[Entry, error]
}

// Taker is a Journal from which entries can be taken: one is read and reserved in one step, so
// that exactly one of several processes gets it. That process, and the next one of its name,
// gets it again, and no other does for ten minutes. Who has saved what follows from an entry
// removes it, by Write; what a process has taken that has crashed before that, another one takes
// when the ten minutes are over.
type Taker interface {
	Journal
	Take(ctx context.Context, kind Kind, key string) (Entry, bool, error)
}

// With returns the entry with a value in JSON, which an operator can read, and its end.
func (e Entry) With(value any, until time.Time) Entry {
	b, err := json.Marshal(value)
	if err != nil {
		return e // does not happen with the types that are kept
	}
	e.Value, e.Until = b, until
	return e
}
