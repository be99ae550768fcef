package bolt

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"rewatch/dialogs/store"
	"rewatch/policy"
)

// A disk that takes nothing is an error at the next Save, and over when it is.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		s, err := Open(path, Options{Sync: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		save := func(aor string) error {
			_, err := s.Save(t.Context(), store.Record{AOR: aor, State: policy.State{Sent: 1}})
			return err
		}
		if err := s.db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := save("first"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		if err := save("second"); err == nil {
			t.Error("saved what cannot be committed")
		}
		db, err := openFile(path, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.mu.Lock() // the next commit takes it, too
		s.db = db
		if s.print, err = s.look(); err != nil {
			t.Fatal(err)
		}
		s.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := save("third"); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s, err = Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for aor, want := range map[string]int{"first": 1, "second": 0, "third": 1} {
			if r, _ := s.Load(t.Context(), aor); r.State.Sent != want {
				t.Errorf("%s: %+v", aor, r)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Nobody waits for the disk, and nothing waits longer than Sync: a disk that is slow
// gets many changes at once, a fast one each as it comes.
func TestGroupCommit(t *testing.T) {
	for disk, took := range map[string]time.Duration{"slow": time.Second, "fast": 0} {
		t.Run(disk, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := Open(filepath.Join(t.TempDir(), "state.db"), Options{Sync: 100 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				s.took = took
				writes := func() int64 {
					stats := s.db.Stats()
					return stats.TxStats.GetWrite()
				}
				before := writes()
				began := time.Now()
				for i := range 100 {
					if _, err := s.Save(t.Context(), store.Record{AOR: "alice", Version: uint64(i), State: policy.State{Sent: i + 1}}); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if took := time.Since(began); took > 0 {
					t.Errorf("100 saves waited %s", took)
				}
				if at := writes() != before; at != (took == 0) {
					t.Errorf("committed at once: %v", at)
				}
				time.Sleep(101 * time.Millisecond)
				synctest.Wait()
				if writes() == before {
					t.Error("nothing was committed after 100 ms")
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// Whatever is in the file, it is decoded to what is written the same way, or it
// is an error.
func FuzzDecode(f *testing.F) {
	r, err := encodeRecord(store.Record{AOR: "sip:a@b", Version: 7, State: policy.State{Sent: 2, Broken: make([]policy.Broken, 2)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("sip:a@b", r, true)
	f.Add("sip:a@b", r[1:len(r)-4], false)
	f.Add("call", encodeEntry(store.Entry{Key: "call", Value: []byte("value"), Until: time.Unix(7, 0)}), true)
	f.Add("", []byte{}, false)
	f.Fuzz(func(t *testing.T, key string, value []byte, sealed bool) {
		if !sealed { // the fuzzer will not find a checksum by itself
			value = seal(key, append([]byte{version}, value...))
		}
		if r, err := decodeRecord([]byte(key), value); err == nil {
			again, err := encodeRecord(r)
			if err != nil {
				t.Fatalf("%+v was read and cannot be written: %v", r, err)
			}
			if back, err := decodeRecord([]byte(key), again); err != nil || !back.State.Equal(r.State) || back.Version != r.Version {
				t.Fatalf("%+v became %+v, %v", r, back, err)
			}
		}
		if e, err := decodeEntry(store.KindAlarm, []byte(key), value); err == nil {
			if !bytes.Equal(encodeEntry(e), value) {
				t.Fatalf("%+v is not what it was", e)
			}
		}
	})
}

// A file that is cut off in the midst of a commit breaks the store, and not the process:
// neither the reading of what is not there any more nor what bbolt does to end it.
func TestCutOffDuringCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		r := store.Record{AOR: fmt.Sprint("user-", i), State: policy.State{Sent: 1, Broken: make([]policy.Broken, 9)}}
		if _, err := s.Save(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	err = s.transact(func(tx *bbolt.Tx) error {
		if err := os.Truncate(path, int64(2*os.Getpagesize())); err != nil {
			t.Fatal(err)
		}
		return putUsers(tx, []store.Record{{AOR: "user-7", Version: 1}})
	})
	if err == nil || s.broken == nil {
		t.Errorf("it was committed: %v", err)
	}
	if _, err := s.Save(t.Context(), store.Record{AOR: "late", State: policy.State{Sent: 1}}); err == nil {
		t.Error("it promises what it cannot keep")
	}
	if s.Ping(t.Context()) == nil {
		t.Error("it says that all is well")
	}
	if r, _ := s.Load(t.Context(), "user-7"); r.State.Sent != 1 {
		t.Errorf("it has forgotten %+v", r)
	}
	if s.Close() == nil {
		t.Error("it was closed without a word")
	}
}

// Before a request leaves for a user only their own change has to be committed, and not
// once more.
func TestSyncOfOne(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "state.db"), Options{Sync: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s.took = time.Hour // else a fast disk is not waited for
	sync := func(aor string) (commits int) {
		t.Helper()
		before := txid(t, s)
		if err := s.Sync(t.Context(), aor); err != nil {
			t.Error(err)
		}
		return txid(t, s) - before
	}
	if _, err := s.Save(t.Context(), store.Record{AOR: "alice", State: policy.State{Sent: 1}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		aor  string
		want int
	}{{"bob", 0}, {"alice", 1}, {"alice", 0}, {"", 0}} {
		if got := sync(c.aor); got != c.want {
			t.Errorf("%q: %d commits, want %d", c.aor, got, c.want)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s.Sync(t.Context(), "alice") == nil {
		t.Error("a closed store says that all is safe")
	}
}

// txid numbers the commits of a file.
func txid(t *testing.T, s *Store) (id int) {
	t.Helper()
	if err := s.view(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

// What a commit that failed leaves for the next one gives way to what is newer.
func TestNewerGoesBeforeFailed(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "state.db"), Options{Sync: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s.took = time.Hour
	entry := func(key, value string) store.Entry {
		return store.Entry{Kind: store.KindAlarm, Key: key, Value: []byte(value)}
	}
	failed := &batch{users: map[string]struct{}{"alice": {}}, entries: make(map[store.EntryID]store.Entry)}
	failed.add([]store.Entry{entry("both", "old"), entry("failed", "old")})
	s.mu.Lock()
	s.records["alice"] = store.Record{AOR: "alice", Version: 1, State: policy.State{Sent: 2}}
	s.gather().add([]store.Entry{entry("both", "new")})
	s.putBack(failed)
	s.mu.Unlock()
	if err := s.Sync(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"both": "new", "failed": "old"} {
		if e, ok, err := s.Read(t.Context(), store.KindAlarm, key); !ok || err != nil || string(e.Value) != want {
			t.Errorf("%s: %q, %v, %v; want %q", key, e.Value, ok, err, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(s.path, Options{}); err != nil {
		t.Fatal(err)
	}
	if r, _ := s.Load(t.Context(), "alice"); r.State.Sent != 2 {
		t.Errorf("the user of the failed batch became %+v", r)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
