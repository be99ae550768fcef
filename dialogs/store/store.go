package store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"rewatch/policy"
)

// ErrConflict says that a record was changed by somebody else since it was
// loaded: load it again, decide again, save again.
var ErrConflict = errors.New("record has changed since it was loaded")

// ErrLost is the ErrConflict of a record that nobody has deleted and that is gone
// all the same: the store was emptied. What the caller knows is all there is.
var ErrLost = fmt.Errorf("the store has lost it: %w", ErrConflict)

// ErrUnreadable says that there is a record of another version of rewatch, or of somebody
// else. It is left alone: whoever wrote it can read it.
var ErrUnreadable = errors.New("the record cannot be read")

// Record is the state of one user as a Store keeps it.
type Record struct {
	AOR string
	// Version is given by the Store; 0 means that there is no such record.
	Version uint64
	State   policy.State
	// Foreign: another process saved it last. Save takes no notice of it.
	Foreign bool
}

// Store keeps what has to survive a restart, and what several replicas share: the
// states of users and the entries of a Journal. Package storetest has the suites that
// every Store passes. A Store is safe for concurrent use, and keeps nothing of the slices
// that it is given.
type Store interface {
	// Load returns the record of a user; of one who is not known the zero State
	// with Version 0.
	Load(ctx context.Context, aor string) (Record, error)
	// Save writes r if the version that the Store has is r.Version (0: it has
	// none), and returns the new version; else it returns ErrConflict. With it go
	// entries of the Journal: after a crash there is either both or nothing, as far
	// as the Store can see to that.
	Save(ctx context.Context, r Record, with ...Entry) (version uint64, err error)
	// Delete removes the record under the same condition, and takes entries in the
	// same way. To delete what is not there is no conflict.
	Delete(ctx context.Context, aor string, version uint64, with ...Entry) error
	// All walks over every record, in no order, those left out that cannot be read.
	// After an error it ends.
	All(ctx context.Context) iter.Seq2[Record, error]
	// Sync returns when what has been saved of a user so far is safe from a crash; ""
	// is everybody. What is written later is never safe before.
	Sync(ctx context.Context, aor string) error

	Journal

	// Ping says whether the Store is there, and will keep what it is given.
	Ping(ctx context.Context) error
	// Shared says whether other processes write to the Store as well.
	Shared() bool
	// Watch tells of every record that another process has saved or deleted, by
	// its address of record, until ctx ends. resync is called first, and again
	// whenever something may have been missed: then All tells what there is.
	// Neither may block for long. A Store that is away is no error; one that is not
	// shared returns at once.
	Watch(ctx context.Context, changed func(aor string), resync func()) error
}
