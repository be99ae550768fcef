package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"rewatch/dialogs"
)

// What tells a state file of rewatch, and the version of what is in it.
const (
	magic  = "rewatch state"
	format = 1
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
	ErrFormat = errors.New("written by another version of rewatch; it was left as it is")
)

// Check reads the whole of a file that is there, and changes nothing.
func Check(path string) error {
	begun, err := inspect(path)
	if err != nil || !begun {
		return err
	}
	return verify(path, time.Second)
}

// openFile opens the file and makes sure that it is ours and whole.
func openFile(path string, timeout time.Duration) (*bbolt.DB, error) {
	begun, err := inspect(path)
	if err == nil && begun {
		// When bbolt opens a file for writing it looks for the free pages in a
		// goroutine of its own, where a damaged page would end the process. So
		// the damage has to be found before.
		err = verify(path, timeout)
	}
	if err != nil {
		return nil, err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: timeout, FreelistType: bbolt.FreelistMapType,
		// The list of free pages is made anew from the pages themselves, so
		// there is nothing of it to be damaged, and a commit is smaller.
		NoFreelistSync: true,
	})
	if err != nil {
		return nil, classify(err)
	}
	if err := identify(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// verify reads every page of a file, and writes none.
func verify(path string, timeout time.Duration) (err error) {
	// A page that was overwritten makes bbolt panic, or touch what is not there.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var db *bbolt.DB
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w (%v)", ErrCorrupt, p)
		}
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: timeout, ReadOnly: true})
	if err != nil {
		return classify(err)
	}
	return db.View(func(tx *bbolt.Tx) error {
		if err := checkHeader(tx); err != nil && !errors.Is(err, errFresh) {
			return err
		}
		return readAll(tx, func(dialogs.Record) {})
	})
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

// errFresh says that nothing was written to the file yet.
var errFresh = errors.New("new file")

// identify reads the header, and writes it into a file that is new.
func identify(db *bbolt.DB) error {
	err := db.View(checkHeader)
	if errors.Is(err, errFresh) {
		return db.Update(writeHeader)
	}
	return err
}

func checkHeader(tx *bbolt.Tx) error {
	first, _ := tx.Cursor().First()
	header := tx.Bucket(headerBucket)
	switch {
	case first == nil:
		return errFresh
	case header == nil || !bytes.Equal(header.Get(magicKey), []byte(magic)):
		return ErrForeign
	default:
		return sameFormat(header.Get(formatKey))
	}
}

func sameFormat(value []byte) error {
	if len(value) != 8 {
		return ErrCorrupt
	}
	if has := binary.BigEndian.Uint64(value); has != format {
		return fmt.Errorf("%w (format %d, this one writes %d)", ErrFormat, has, format)
	}
	return nil
}

func writeHeader(tx *bbolt.Tx) error {
	header, err := tx.CreateBucketIfNotExists(headerBucket)
	if err != nil {
		return err
	}
	if err := header.Put(magicKey, []byte(magic)); err != nil {
		return err
	}
	return header.Put(formatKey, binary.BigEndian.AppendUint64(nil, format))
}

// The first two pages of a bbolt file are alike: a page header, and then magic,
// version, page size, flags, root, sequence, free list, number of pages.
const (
	boltMagic     = 0xED0CDAED
	pageHeader    = 16
	offsetSize    = pageHeader + 8
	offsetPages   = pageHeader + 40
	metaLength    = pageHeader + 64
	smallestPage  = 512
	greatestPage  = 64 << 10
	leastMetaSize = metaLength
)

// inspect looks at a file before bbolt may touch it, and says whether something is
// in it. One that was cut off would end the process with a SIGBUS.
func inspect(path string) (begun bool, err error) {
	f, err := os.Open(path) // #nosec G304 -- the operator's file
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, withoutPath(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return false, withoutPath(err)
	case !info.Mode().IsRegular():
		return false, ErrForeign
	case info.Size() == 0:
		return false, nil
	}
	head := make([]byte, 2*greatestPage)
	n, err := f.ReadAt(head, 0)
	if n == 0 {
		return false, withoutPath(err)
	}
	return true, measure(head[:n], info.Size())
}

// measure compares the number of pages with the length of the file. Either of the
// two first pages may be the one that was being written.
func measure(head []byte, length int64) error {
	least := int64(-1)
	for size := int64(0); size <= greatestPage; size = max(smallestPage, 2*size) {
		at := int(size)
		if len(head) < at+leastMetaSize || binary.NativeEndian.Uint32(head[at+pageHeader:]) != boltMagic {
			continue
		}
		page := int64(binary.NativeEndian.Uint32(head[at+offsetSize:]))
		pages := binary.NativeEndian.Uint64(head[at+offsetPages:])
		if page >= smallestPage && page <= greatestPage && pages < 1<<40 {
			needs := int64(pages) * page // #nosec G115 -- bounded
			if least < 0 || needs < least {
				least = needs
			}
		}
	}
	switch {
	case least < 0:
		return ErrForeign
	case length < least:
		return fmt.Errorf("%w (%d of %d bytes)", ErrCorrupt, length, least)
	}
	return nil
}
