package bolt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"rewatch/dialogs/store"
	"rewatch/dialogs/store/bolt"
	"rewatch/policy"
)

// lived is a file that has been in use for a while: pages of the past lie between
// those of the present, trees are several pages deep, and values overflow.
func lived(t *testing.T) []byte {
	t.Helper()
	path := newFile(t)
	s := open(t, path, bolt.Options{})
	for round := range 3 {
		for i := range 30 {
			aor := fmt.Sprintf("sip:user-%d@ims.example", i)
			r, err := s.Load(t.Context(), aor)
			if err != nil {
				t.Fatal(err)
			}
			save(t, s, aor, r.Version, policy.State{Sent: round + 1, Broken: make([]policy.Broken, i%3*40)})
		}
		var batch []store.Entry
		for i := range 60 {
			batch = append(batch, store.Entry{
				Kind: store.KindSubscription, Key: fmt.Sprintf("%d%s", i, strings.Repeat("k", 100)), Value: bytes.Repeat([]byte{byte(round), 1}, 30),
			})
		}
		batch = append(batch, store.Entry{Kind: store.KindAlarm, Key: "outage", Value: []byte{1}, Until: time.Now().Add(time.Hour)})
		if err := s.Write(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func unchanged(t *testing.T, path string, content []byte) {
	t.Helper()
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
		t.Errorf("the file was changed though it was refused (%v)", err)
	}
}

// told is everything that a store has to tell.
func told(t *testing.T, s *bolt.Store) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for r, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all[r.AOR] = fmt.Sprintf("%+v", r)
	}
	for _, kind := range store.Kinds() {
		for e, err := range s.Entries(t.Context(), kind) {
			if err != nil {
				t.Fatal(err)
			}
			all[kind.String()+" "+e.Key] = fmt.Sprintf("%+v", e)
		}
	}
	return all
}

// openDamaged opens a file that has the content. What the store says that it has lost
// is beside it, as it was, and the store is empty and can be used; else the store tells
// nothing that was never saved. It returns whether the file was moved aside, and
// whether all that was saved last is still told.
func openDamaged(t *testing.T, what string, content []byte, last map[string]string) (lost, same bool) {
	t.Helper()
	path := newFile(t)
	write(t, path, content)
	checked := bolt.Check(path)
	unchanged(t, path, content)
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}()
	aside, why := s.Lost()
	all := told(t, s)
	if aside == "" {
		if checked != nil || why != nil {
			t.Errorf("%s: it was opened, and the check said %v, the store %v", what, checked, why)
		}
		plausible(t, what, s)
		return false, fmt.Sprint(all) == fmt.Sprint(last)
	}
	if checked == nil || !errors.Is(why, bolt.ErrCorrupt) && !errors.Is(why, bolt.ErrFormat) || len(all) > 0 {
		t.Errorf("%s: moved aside by %v, the check said %v; the new one has %d items", what, why, checked, len(all))
	}
	unchanged(t, aside, content)
	save(t, s, alice, 0, policy.State{Sent: 1})
	return true, false
}

// plausible makes sure that a store tells nothing but what lived has saved.
func plausible(t *testing.T, what string, s *bolt.Store) {
	t.Helper()
	for r, err := range s.All(t.Context()) {
		i := 0
		if _, odd := fmt.Sscanf(r.AOR, "sip:user-%d@", &i); err != nil || odd != nil || r.State.Sent < 1 || r.State.Sent > 3 || len(r.State.Broken) != i%3*40 {
			t.Errorf("%s: it tells of %s, %+v", what, r.AOR, r.State.Sent)
		}
	}
	for e, err := range s.Entries(t.Context(), store.KindSubscription) {
		if err != nil || len(e.Value) != 60 || !bytes.Equal(e.Value, bytes.Repeat([]byte{e.Value[0], 1}, 30)) || e.Value[0] > 2 {
			t.Errorf("%s: it tells of %q", what, e.Value)
		}
	}
}

// saved is what a store tells that has the content.
func saved(t *testing.T, content []byte) map[string]string {
	t.Helper()
	path := newFile(t)
	write(t, path, content)
	return told(t, open(t, path, bolt.Options{}))
}

// A bit that is wrong, wherever it is: the file is moved aside, or it tells what was
// saved. Where a page of the past is whole in the place of one of the present, that may
// be something older.
func TestDamagedBit(t *testing.T) {
	content := lived(t)
	last := saved(t, content)
	step := 509
	if testing.Short() {
		step = 2039
	}
	found, older, tried := 0, 0, 0
	path := newFile(t)
	for at := 0; at < len(content); at += step {
		damaged := bytes.Clone(content)
		damaged[at] ^= 1 << (at % 8)
		write(t, path, damaged)
		if tried++; bolt.Check(path) != nil && tried%10 != 0 {
			found++
			continue // opening it takes longer
		}
		lost, same := openDamaged(t, fmt.Sprint("byte ", at), damaged, last)
		switch {
		case lost:
			found++
		case !same:
			older++
		}
	}
	if found == 0 || older > found/20 {
		t.Errorf("of %d bytes every %dth with a wrong bit: %d found, %d told something older", len(content), step, found, older)
	}
}

// Pages that are zero, noise, or another page, and noise all over the file.
func TestDamagedPages(t *testing.T) {
	content := lived(t)
	last := saved(t, content)
	size := os.Getpagesize()
	noise := rand.NewChaCha8([32]byte{1})
	found := 0
	for page := 0; page < len(content)/size; page++ {
		other := (page*7 + 3) % (len(content) / size)
		for what, harm := range map[string]func([]byte){
			"zero":    func(p []byte) { clear(p) },
			"noise":   func(p []byte) { _, _ = noise.Read(p) },
			"half":    func(p []byte) { clear(p[len(p)/2:]) },
			"another": func(p []byte) { copy(p, content[other*size:]) },
		} {
			damaged := bytes.Clone(content)
			harm(damaged[page*size : (page+1)*size])
			if lost, _ := openDamaged(t, fmt.Sprintf("page %d is %s", page, what), damaged, last); lost {
				found++
			}
		}
	}
	if found < len(content)/size {
		t.Errorf("%d damages were found", found)
	}
	random := rand.New(noise)
	for round := range 60 {
		damaged := bytes.Clone(content)
		for range 1 << (round % 12) {
			damaged[random.IntN(len(damaged))] = byte(random.Uint32())
		}
		openDamaged(t, fmt.Sprint("random round ", round), damaged, last)
	}
}

// A file that was cut off, wherever, is moved aside, unless nothing was there.
func TestTruncatedFile(t *testing.T) {
	content := lived(t)
	last := saved(t, content)
	lengths := []int{1, 8, 9, 15, 16, 17, 20, 79, 80, 4095, 4096, 4097, 8191, 8192}
	for length := 5000; length < len(content); length += 4099 {
		lengths = append(lengths, length)
	}
	found := 0
	for _, length := range lengths {
		lost, same := openDamaged(t, fmt.Sprint(length, " bytes"), content[:length], last)
		if !lost && !same {
			t.Errorf("%d bytes of %d: it was opened, and tells something else", length, len(content))
		}
		if lost {
			found++
		}
	}
	if found < len(lengths)/2 {
		t.Errorf("of %d lengths %d were found", len(lengths), found)
	}
}

// A file of a later version is moved aside too, whether it is of another form as a
// whole or has one value that is.
func TestLaterFormat(t *testing.T) {
	for what, change := range map[string]func(*bbolt.Tx) error{
		"file": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("rewatch")).Put([]byte("format"), []byte{7: 99})
		},
		"value": func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("users"))
			key, value := b.Cursor().First()
			value = bytes.Clone(value[:len(value)-4])
			value[0]++
			sum := crc32.Checksum(append(bytes.Clone(key), value...), crc32.MakeTable(crc32.Castagnoli))
			return b.Put(key, binary.BigEndian.AppendUint32(value, sum))
		},
	} {
		t.Run(what, func(t *testing.T) {
			path := newFile(t)
			write(t, path, lived(t))
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(change), db.Close()); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, path, bolt.Options{})
			aside, why := s.Lost()
			if !errors.Is(why, bolt.ErrFormat) || len(told(t, s)) > 0 {
				t.Errorf("%q, %v", aside, why)
			}
			unchanged(t, aside, content)
		})
	}
}

// Two files that are moved aside in one second are both kept.
func TestMovedAsideTwice(t *testing.T) {
	path := newFile(t)
	names := make(map[string]bool)
	for range 3 {
		write(t, path, make([]byte, 8192))
		s := open(t, path, bolt.Options{})
		aside, _ := s.Lost()
		names[aside] = true
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(names) != 3 {
		t.Errorf("moved aside as %v", names)
	}
}
