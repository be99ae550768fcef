package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"rewatch/dialogs/store"
)

// What tells a state file of rewatch, and the version of what is in it.
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
	// ErrInUse says that another process has the file.
	ErrInUse = errors.New("in use by another process")
	// ErrForeign says that the file is no state file of rewatch.
	ErrForeign = errors.New("not a state file of rewatch; it was left as it is")
	// ErrCorrupt says that it is one, and not what was written.
	ErrCorrupt = errors.New("damaged")
	// ErrFormat says that it is one of another version.
	ErrFormat = errors.New("written by another version of rewatch")

	// errHeader says that there is nothing of ours in a file that bbolt can read.
	errHeader = errors.New("it has no header")
)

// damaged marks an error as a sign of damage.
func damaged(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// Check reads the whole of a file that is there, and changes nothing.
func Check(path string) error {
	_, err := verify(path, time.Second)
	return err
}

// openFile opens the file after it was verified, or makes it.
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
		// The list of free pages is made anew from the pages themselves, so
		// there is nothing of it to be damaged, and a commit is smaller.
		NoFreelistSync: true,
	}
}

// create makes a new file. It gets its name when it is whole, so that a process that
// is killed meanwhile leaves nothing behind that could not be opened.
func create(path string, timeout time.Duration) error {
	fresh := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".rewatch-new")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil // where nothing may be made beside it, the file has to be made in its place
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

// syncDirectory makes the new name safe, where the system can.
func syncDirectory(path string) {
	if d, err := os.Open(path); err == nil { // #nosec G304 -- the operator's directory
		_ = d.Sync()
		_ = d.Close()
	}
}

// verify reads the whole of a file, and writes nothing. It says whether there is
// anything in it.
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

// inspect lets bbolt read a file, and reads all that is in it.
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
		return nil // nothing was written yet
	}
	header := tx.Bucket(headerBucket)
	if header == nil {
		return errHeader
	}
	if err := checkHeader(header); err != nil {
		return err
	}
	return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
		if bytes.Equal(name, headerBucket) {
			return nil
		}
		check := checkerOf(string(name))
		if check == nil {
			return damaged(fmt.Errorf("bucket %q is not known", name))
		}
		return bucket.ForEach(check)
	})
}

// checkerOf gives what looks at the items of a bucket; nil for one that is not ours.
func checkerOf(bucket string) func(key, value []byte) error {
	if bucket == string(usersBucket) {
		return func(key, value []byte) error {
			_, err := decodeRecord(key, value)
			return err
		}
	}
	for _, kind := range store.Kinds() {
		if bucket == kind.String() {
			return func(key, value []byte) error {
				_, err := decodeEntry(kind, key, value)
				return err
			}
		}
	}
	return nil
}

// classify tells damage from a system that refuses.
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

// withoutPath drops what every message of this package says anyway.
func withoutPath(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// identify writes the header into a file that is new.
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
