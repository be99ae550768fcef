package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"rewatch/dialogs"
)

// What tells a state file of rewatch, and the version of what is in it.
const (
	magic  = "rewatch state"
	format = 2
)

var (
	headerBucket = []byte("rewatch")
	usersBucket  = []byte("users")
	magicKey     = []byte("magic")
	formatKey    = []byte("format")
)

func kindBucket(k dialogs.Kind) []byte { return []byte(k.String()) }

var (
	// ErrInUse says that another process has the file.
	ErrInUse = errors.New("in use by another process")
	// ErrForeign says that the file is no state file of rewatch.
	ErrForeign = errors.New("not a state file of rewatch; it was left as it is")
	// ErrCorrupt says that it was one.
	ErrCorrupt = errors.New("damaged; it was left as it is, move it away to start without it")
	// ErrFormat says that it is one of another version.
	ErrFormat = errors.New("written by another version of rewatch; it was left as it is, move it away to start without it")
)

// Check reads the whole of a file that is there, and changes nothing.
func Check(path string) error {
	_, err := verify(path, time.Second)
	return err
}

// openFile opens the file and makes sure that it is ours and whole, before bbolt may
// touch it.
func openFile(path string, timeout time.Duration) (*bbolt.DB, error) {
	begun, err := verify(path, timeout)
	if err == nil && !begun {
		err = create(path, timeout)
	}
	if err != nil {
		return nil, err
	}
	db, err := bbolt.Open(path, 0o600, options(timeout))
	if err != nil {
		return nil, classify(err)
	}
	if err := identify(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
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

// verify reads every page of a file, and writes none. It says whether there is
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
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return false, errors.Join(ErrForeign, err)
	}
	if err := lock(f, timeout); err != nil {
		return false, err
	}
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, withoutPath(err)
	}
	switch err := inspect(f, info.Size()); {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrForeign), errors.Is(err, ErrFormat):
		return true, err
	default:
		return true, fmt.Errorf("%w (%w)", ErrCorrupt, err)
	}
}

// inspect reads the whole of a file and compares it with what its header says.
func inspect(f *os.File, length int64) error {
	t, err := openTree(f, length)
	if err != nil || len(t.buckets) == 0 { // one in which nothing was written yet
		return err
	}
	header, err := readHeader(t)
	if err != nil {
		return err
	}
	for _, bucket := range slices.Sorted(maps.Keys(t.buckets)) {
		if bucket == string(headerBucket) {
			continue
		}
		check := checkerOf(bucket)
		if check == nil {
			return fmt.Errorf("bucket %q is not known", bucket)
		}
		var has sum
		if err := t.each(bucket, func(key, value []byte) error {
			has.add(value)
			return check(key, value)
		}); err != nil {
			return err
		}
		if want, err := decodeSum(bucket, header[string(sumKey(bucket))]); err != nil || has != want {
			return errors.Join(fmt.Errorf("%s: %w", bucket, errSum), err)
		}
	}
	return nothingMissing(t, header)
}

// readHeader reads the header, which says whose file it is.
func readHeader(t *tree) (map[string][]byte, error) {
	header := make(map[string][]byte)
	if _, ok := t.buckets[string(headerBucket)]; !ok {
		return nil, ErrForeign
	}
	err := t.each(string(headerBucket), func(key, value []byte) error {
		header[string(key)] = bytes.Clone(value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return header, checkHeader(header)
}

// checkerOf gives what looks at the items of a bucket; nil for one that is not ours.
func checkerOf(bucket string) func(key, value []byte) error {
	if bucket == string(usersBucket) {
		return func(key, value []byte) error {
			_, err := decodeRecord(key, value)
			return err
		}
	}
	for _, kind := range dialogs.Kinds() {
		if bucket == kind.String() {
			return func(key, value []byte) error {
				_, err := decodeEntry(kind, key, value)
				return err
			}
		}
	}
	return nil
}

// nothingMissing looks whether there is a bucket for every sum.
func nothingMissing(t *tree, header map[string][]byte) error {
	for key := range header {
		bucket, isSum := strings.CutPrefix(key, sumPrefix)
		if _, ok := t.buckets[bucket]; isSum && !ok {
			return fmt.Errorf("%s: %w", bucket, errSum)
		}
	}
	return nil
}

func classify(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return ErrInUse
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("%w (%w)", ErrCorrupt, err)
	}
	return withoutPath(err)
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

// checkHeader says whose file it is.
func checkHeader(header map[string][]byte) error {
	if !bytes.Equal(header[string(magicKey)], []byte(magic)) {
		return ErrForeign
	}
	value := header[string(formatKey)]
	if len(value) != 8 {
		return errors.New("the header is not what was written")
	}
	if has := binary.BigEndian.Uint64(value); has != format {
		return fmt.Errorf("%w (format %d, this one writes %d)", ErrFormat, has, format)
	}
	return nil
}
