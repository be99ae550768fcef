package boltstore

import (
	"bytes"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
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
			_, err := s.Save(t.Context(), dialogs.Record{AOR: aor, State: policy.State{Sent: 1}})
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
					if _, err := s.Save(t.Context(), dialogs.Record{AOR: "alice", Version: uint64(i), State: policy.State{Sent: i + 1}}); err != nil {
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
	r, err := encodeRecord(dialogs.Record{AOR: "sip:a@b", Version: 7, State: policy.State{Sent: 2, Broken: make([]policy.Broken, 2)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("sip:a@b", r, true)
	f.Add("sip:a@b", r[:len(r)-4], false)
	f.Add("call", encodeEntry(dialogs.Entry{Key: "call", Value: []byte("value"), Until: time.Unix(7, 0)}), true)
	f.Add("", []byte{}, false)
	f.Fuzz(func(t *testing.T, key string, value []byte, sealed bool) {
		if !sealed { // the fuzzer will not find a checksum by itself
			value = seal(key, bytes.Clone(value))
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
		if e, err := decodeEntry(dialogs.KindAlarm, []byte(key), value); err == nil {
			if !bytes.Equal(encodeEntry(e), value) {
				t.Fatalf("%+v is not what it was", e)
			}
		}
	})
}
