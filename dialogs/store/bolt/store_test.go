package bolt_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"rewatch/dialogs/store"
	"rewatch/dialogs/store/bolt"
	"rewatch/dialogs/store/storetest"
	"rewatch/policy"
)

const alice = "sip:alice@ims.example"

func open(t *testing.T, path string, o bolt.Options) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newFile(t *testing.T) string { return filepath.Join(t.TempDir(), "state.db") }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, newFile(t), bolt.Options{Sync: 10 * time.Millisecond})
	})
}

func TestJournal(t *testing.T) {
	storetest.RunJournal(t, func(t *testing.T) store.Journal {
		return open(t, newFile(t), bolt.Options{Sync: 10 * time.Millisecond})
	})
}

func save(t *testing.T, s *bolt.Store, aor string, version uint64, state policy.State) uint64 {
	t.Helper()
	v, err := s.Save(t.Context(), store.Record{AOR: aor, Version: version, State: state})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What was saved before the end is there after the next start, and what was
// deleted is not.
func TestReopen(t *testing.T) {
	path := newFile(t)
	s := open(t, path, bolt.Options{Sync: time.Hour})
	save(t, s, alice, 0, policy.State{Sent: 2, Deadline: time.Unix(1_800_000_000, 7)})
	gone := save(t, s, "sip:bob@ims.example", 0, policy.State{Sent: 1})
	if err := s.Write(t.Context(), []store.Entry{{Kind: store.KindAlarm, Key: "a", Value: []byte("raised")}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "sip:bob@ims.example", gone); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), store.Record{AOR: alice}); err == nil {
		t.Error("a closed store takes what it cannot keep")
	}

	s = open(t, path, bolt.Options{})
	r, _ := s.Load(t.Context(), alice)
	if r.State.Sent != 2 || !r.State.Deadline.Equal(time.Unix(1_800_000_000, 7)) {
		t.Errorf("loaded %+v", r)
	}
	if r, _ := s.Load(t.Context(), "sip:bob@ims.example"); r.Version != 0 {
		t.Errorf("loaded %+v, which was deleted", r)
	}
	if e, ok, err := s.Read(t.Context(), store.KindAlarm, "a"); !ok || err != nil || string(e.Value) != "raised" {
		t.Errorf("read %+v, %v, %v", e, ok, err)
	}
	save(t, s, alice, r.Version, policy.State{Sent: 3}) // the version goes on
}

func TestInUse(t *testing.T) {
	path := newFile(t)
	open(t, path, bolt.Options{})
	_, err := bolt.Open(path, bolt.Options{LockTimeout: 50 * time.Millisecond})
	if !errors.Is(err, bolt.ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
}

// What is no state file is refused and left as it is.
func TestForeignFile(t *testing.T) {
	other := newFile(t)
	db, err := bbolt.Open(other, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("photographs"))
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	otherProgram, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"text":                     []byte("these are my notes\n"),
		"something long":           bytes.Repeat([]byte("0123456789abcdef"), 10_000),
		"one line":                 []byte("x"),
		"bbolt of another program": otherProgram,
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			write(t, path, content)
			_, err := bolt.Open(path, bolt.Options{LockTimeout: 50 * time.Millisecond})
			if !errors.Is(err, bolt.ErrForeign) {
				t.Errorf("open gave %v", err)
			}
			unchanged(t, path, content)
		})
	}
	if _, err := bolt.Open(t.TempDir(), bolt.Options{}); !errors.Is(err, bolt.ErrForeign) {
		t.Errorf("open a directory: %v", err)
	}
	if _, err := bolt.Open(filepath.Join(t.TempDir(), "no", "state.db"), bolt.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open in a directory that is not there: %v", err)
	}
}
