package bolt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"rewatch/dialogs/store"
)

// metaSize is how many bytes of each of the first two pages change.
const metaSize = 80

// print identifies the file, and its content, between two commits.
type print struct {
	info  os.FileInfo
	heads [2][metaSize]byte // of the first two pages, which change with every commit
}

// write writes a batch to the file, in one transaction.
func (s *Store) write(users []store.Record, b *batch) error {
	if s.broken != nil {
		return s.broken
	}
	if err := s.present(); err != nil {
		return err
	}
	err := s.transact(func(tx *bbolt.Tx) error {
		if err := putUsers(tx, users); err != nil {
			return err
		}
		return putEntries(tx, b.entries)
	})
	if err != nil {
		err = fmt.Errorf("commit: %w", withoutPath(err))
	}
	if s.broken == nil { // a commit that failed may nevertheless be in the file
		var seen error
		s.print, seen = s.look()
		err = errors.Join(err, seen)
	}
	return err
}

// transact runs do in a transaction and commits it.
//
// If the file is truncated meanwhile, an access to it is a fault. Neither a fault nor a
// panic may end the sidecar. But bbolt is unusable afterwards, so the file is not used any
// more. The transaction stays open: to end it bbolt would read the whole file, in a
// goroutine where a fault cannot be caught.
func (s *Store) transact(do func(*bbolt.Tx) error) error {
	err := guard(func() error {
		tx, err := s.db.Begin(true)
		if err != nil {
			return err
		}
		if err := do(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
	if errors.Is(err, errFault) {
		s.broken = fmt.Errorf("%w; rewatch has to be restarted", err)
		return s.broken
	}
	return err
}

// errFault says that bbolt has met with a fault or a panic.
var errFault = fmt.Errorf("%w, or cut off in use", ErrCorrupt)

// guard calls do and turns a panic or a memory fault in it into an error.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errFault, p)
		}
	}()
	return do()
}

// present returns an error if the file was removed, replaced, truncated or overwritten.
func (s *Store) present() error {
	now, err := s.look()
	switch {
	case err != nil:
		return fmt.Errorf("the file is gone (%w); rewatch has to be restarted", withoutPath(err))
	case !os.SameFile(now.info, s.print.info):
		return errors.New("another file was put in its place; rewatch has to be restarted")
	case now.info.Size() < s.print.info.Size():
		return fmt.Errorf("it was cut off in use, %d bytes are left of %d", now.info.Size(), s.print.info.Size())
	case now.heads != s.print.heads:
		return errors.New("something else was written over it; rewatch has to be restarted")
	}
	return nil
}

// look takes the print of the file.
func (s *Store) look() (p print, err error) {
	f, err := os.Open(s.path)
	if err != nil {
		return p, err
	}
	defer func() { _ = f.Close() }()
	if p.info, err = f.Stat(); err != nil {
		return p, err
	}
	for i := range p.heads {
		if _, err := f.ReadAt(p.heads[i][:], int64(i)*s.pageSize); err != nil && !errors.Is(err, io.EOF) {
			return p, err
		}
	}
	return p, nil
}
