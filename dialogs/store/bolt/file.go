package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"rewatch/dialogs/store"
)

// The header of a state file.
const (
	magic  = "rewatch state"
	format = 3
)

var (
	headerBucket = []byte("rewatch")
	usersBucket  = []byte("users")
	magicKey     = []byte("magic")
	formatKey    = []byte("format")
)

func kindBucket(k store.Kind) []byte { return []byte(k.String()) }

var (
	// ErrInUse says that another process has locked the file.
	ErrInUse = errors.New("in use by another process")
	// ErrForeign says that the file is no state file of rewatch.
	ErrForeign = errors.New("not a state file of rewatch; it was left as it is")
	// ErrCorrupt says that the file is a state file and damaged.
	ErrCorrupt = errors.New("damaged")
	// ErrFormat says that another version of rewatch has written the file.
	ErrFormat = errors.New("written by another version of rewatch")

	// errHeader says that a file of bbolt has no header of rewatch.
	errHeader = errors.New("it has no header")
)

// damaged wraps an error in ErrCorrupt.
func damaged(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// Check reads all of an existing file, and changes nothing. It waits a second for the lock.
// The error is nil if there is no file, or ErrInUse, ErrForeign, ErrCorrupt, ErrFormat or
// the system's.
func Check(path string) error {
	_, err := verify(path, time.Second)
	return err
}

// openFile verifies and opens the file, or creates it.
func openFile(path string, timeout time.Duration) (db *bbolt.DB, err error) {
	begun, err := verify(path, timeout)
	if err == nil && !begun {
		err = create(path, timeout)
	}
	if err != nil {
		return nil, err
	}
	err = guard(func() (err error) {
		if db, err = bbolt.Open(path, 0o600, options(timeout)); err != nil {
			return classify(err)
		}
		return identify(db)
	})
	return db, err
}

func options(timeout time.Duration) *bbolt.Options {
	return &bbolt.Options{
		Timeout: timeout, FreelistType: bbolt.FreelistMapType,
		// The list of free pages is derived from the pages when the file is opened: it
		// cannot be damaged, and a commit is smaller.
		NoFreelistSync: true,
	}
}

// create creates a new file under another name and renames it when it is complete, so that
// a process that is killed meanwhile leaves no file that cannot be opened.
func create(path string, timeout time.Duration) error {
	fresh := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".rewatch-new")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil // no second file may be created in this directory: bbolt creates it in place
	}
	db, err := bbolt.Open(fresh, 0o600, options(timeout))
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	if err = errors.Join(identify(db), db.Close()); err == nil {
		if os.Rename(fresh, path) == nil {
			syncDirectory(filepath.Dir(path))
			return nil
		}
	}
	return errors.Join(err, os.Remove(fresh))
}

// syncDirectory makes the new name safe from a crash, where the system can.
func syncDirectory(path string) {
	if d, err := os.Open(path); err == nil { // #nosec G304 -- the operator's directory
		_ = d.Sync()
		_ = d.Close()
	}
}

// verify reads all of a file, and writes nothing. It says whether there is a file that is
// not empty.
func verify(path string, timeout time.Duration) (begun bool, err error) {
	f, err := os.Open(path) // #nosec G304 -- the operator's file
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, withoutPath(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false, errors.Join(ErrForeign, err)
	}
	if info.Size() == 0 {
		return false, nil
	}
	err = guard(func() error { return inspect(path, f, timeout) })
	switch {
	case errors.Is(err, errHeader) && !hasWords(f), errors.Is(err, ErrCorrupt) && !ours(f):
		err = ErrForeign
	case errors.Is(err, errHeader):
		err = damaged(err)
	}
	return true, err
}

// inspect opens a file with bbolt to read, and reads all pages and values.
func inspect(path string, f *os.File, timeout time.Duration) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: timeout})
	if err != nil {
		return classify(err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		size := int64(db.Info().PageSize)
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return damaged(fmt.Errorf("%d bytes are left of %d", info.Size(), tx.Size()))
		}
		all := pages{file: f, size: uint64(size), count: uint64(tx.Size() / size), seen: make(map[uint64]bool)} // #nosec G115 -- lengths
		if err := all.walk(uint64(tx.Cursor().Bucket().Root()), nil, nil); err != nil {
			return damaged(err)
		}
		return examine(tx)
	})
	return errors.Join(err, db.Close())
}

// examine reads every value in every bucket.
func examine(tx *bbolt.Tx) error {
	if first, _ := tx.Cursor().First(); first == nil {
		return nil // not even the header was written yet
	}
	header := tx.Bucket(headerBucket)
	if header == nil {
		return errHeader
	}
	if err := checkHeader(header); err != nil {
		return err
	}
	return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
		switch string(name) {
		case string(headerBucket):
			return nil
		case string(usersBucket):
			return readUsers(tx, func(store.Record) {})
		}
		kinds := store.Kinds()
		i := slices.IndexFunc(kinds, func(k store.Kind) bool { return k.String() == string(name) })
		if i < 0 {
			return damaged(fmt.Errorf("bucket %q is not known", name))
		}
		return bucket.ForEach(func(key, value []byte) error {
			_, err := decodeEntry(kinds[i], key, value)
			return err
		})
	})
}

// classify says whether an error of bbolt is a lock, an error of the system, or damage.
func classify(err error) error {
	code, system := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return ErrInUse
	case system && code != syscall.EIO:
		return withoutPath(err)
	}
	return damaged(err)
}

// withoutPath removes the path, which every message of this package has already.
func withoutPath(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// identify writes the header into a new file.
func identify(db *bbolt.DB) error {
	return db.Update(func(tx *bbolt.Tx) error {
		if first, _ := tx.Cursor().First(); first != nil {
			return nil
		}
		header, err := tx.CreateBucket(headerBucket)
		if err != nil {
			return err
		}
		if err := header.Put(magicKey, []byte(magic)); err != nil {
			return err
		}
		return header.Put(formatKey, binary.BigEndian.AppendUint64(nil, format))
	})
}

// checkHeader says whether this version of rewatch can read the file.
func checkHeader(header *bbolt.Bucket) error {
	value := header.Get(formatKey)
	if !bytes.Equal(header.Get(magicKey), []byte(magic)) || len(value) != 8 {
		return damaged(errors.New("the header is not what was written"))
	}
	if has := binary.BigEndian.Uint64(value); has != format {
		return fmt.Errorf("%w (format %d, this one writes %d)", ErrFormat, has, format)
	}
	return nil
}
