package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"rewatch/policy"
)

// ErrConflict says that another goroutine or process has changed a record since it was
// loaded: load it again, decide again, save again.
var ErrConflict = errors.New("record has changed since it was loaded")

// ErrLost is the ErrConflict of a record that is gone although nobody has deleted it: the
// store was emptied. The caller has the only copy.
var ErrLost = fmt.Errorf("the store has lost it: %w", ErrConflict)

// ErrUnreadable says that another version of rewatch, or another program, has written the
// record. The record is left as it is.
var ErrUnreadable = errors.New("the record cannot be read")

// Record is the state of one user as a Store keeps it.
type Record struct {
	AOR string
	// Version is given by the Store; 0: the Store has no such record.
	Version uint64
	State   policy.State
	// Foreign: another process saved the record last. Save ignores this field.
	Foreign bool
}

// Clone returns a record that shares no memory with r.
func (r Record) Clone() Record {
	r.State.Broken = slices.Clone(r.State.Broken)
	return r
}

// Store keeps what has to survive a restart, and what several replicas share: the states of
// users and the entries of a Journal. Every Store passes the suites of package storetest. A
// Store is safe for concurrent use, and copies the slices that it is given.
type Store interface {
	// Load returns the record of a user; of an unknown user the zero State with Version 0.
	Load(ctx context.Context, aor string) (Record, error)
	// Save writes r if the Store has the version r.Version (0: it has no record), and
	// returns the new version; otherwise it returns ErrConflict. It writes entries of the
	// Journal with the record: after a crash the Store has both or neither, as far as it
	// can guarantee that.
	Save(ctx context.Context, r Record, with ...Entry) (version uint64, err error)
	// Delete removes the record under the same condition, and writes entries in the same
	// way. To delete an unknown record is no conflict.
	Delete(ctx context.Context, aor string, version uint64, with ...Entry) error
	// All walks over every record that can be read, in no order. It ends after an error.
	All(ctx context.Context) iter.Seq2[Record, error]
	// Sync returns when everything that was saved of a user so far is safe from a crash; ""
	// stands for all users. Later changes are never safe before earlier ones.
	Sync(ctx context.Context, aor string) error

	Journal

	// Ping says whether the Store can be reached and accepts changes.
	Ping(ctx context.Context) error
	// Shared says whether other processes write to the Store as well.
	Shared() bool
	// Watch calls changed with the address of record of every record that another process
	// has saved or deleted, until ctx ends. It calls resync first, and again whenever it
	// may have missed a change: then the caller reads All. Neither may block for long. A
	// Store that cannot be reached is no error; one that is not shared returns at once.
	Watch(ctx context.Context, changed func(aor string), resync func()) error
}
