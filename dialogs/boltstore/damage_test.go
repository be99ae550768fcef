package boltstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/boltstore"
	"rewatch/policy"
)

// lived is a file that has been in use for a while: pages of the past lie between
// those of the present, trees are several pages deep, and values overflow.
func lived(t *testing.T) []byte {
	t.Helper()
	path := newFile(t)
	s := open(t, path, boltstore.Options{})
	for round := range 3 {
		for i := range 30 {
			aor := fmt.Sprintf("sip:user-%d@ims.example", i)
			r, err := s.Load(t.Context(), aor)
			if err != nil {
				t.Fatal(err)
			}
			save(t, s, aor, r.Version, policy.State{Sent: round + 1, Broken: make([]policy.Broken, i%3*40)})
		}
		var batch []dialogs.Entry
		for i := range 60 {
			batch = append(batch, dialogs.Entry{
				Kind: dialogs.KindSubscription, Key: fmt.Sprintf("%d%s", i, strings.Repeat("k", 100)), Value: bytes.Repeat([]byte{byte(round), 1}, 30),
			})
		}
		batch = append(batch, dialogs.Entry{Kind: dialogs.KindAlarm, Key: "outage", Value: []byte{1}, Until: time.Now().Add(time.Hour)})
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
func told(t *testing.T, s *boltstore.Store) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for r, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all[r.AOR] = fmt.Sprintf("%+v", r)
	}
	for _, kind := range dialogs.Kinds() {
		for e, err := range s.Entries(t.Context(), kind) {
			if err != nil {
				t.Fatal(err)
			}
			all[kind.String()+" "+e.Key] = fmt.Sprintf("%+v", e)
		}
	}
	return all
}

// A bit that is wrong, wherever it is: the file is refused and left alone, or there is
// nothing where it was.
func TestDamagedFile(t *testing.T) {
	content := lived(t)
	path := newFile(t)
	write(t, path, content)
	s := open(t, path, boltstore.Options{})
	want := told(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	step := 257
	if testing.Short() {
		step = 997
	}
	found, opened := 0, 0
	for at := 0; at < len(content); at += step {
		damaged := bytes.Clone(content)
		damaged[at] ^= 1 << (at % 8)
		write(t, path, damaged)
		err := boltstore.Check(path)
		if err != nil {
			found++
			unchanged(t, path, damaged)
			if !errors.Is(err, boltstore.ErrCorrupt) && !errors.Is(err, boltstore.ErrForeign) && !errors.Is(err, boltstore.ErrFormat) {
				t.Errorf("byte %d: %v", at, err)
			}
			if _, again := boltstore.Open(path, boltstore.Options{}); again == nil || !strings.HasSuffix(again.Error(), err.Error()) {
				t.Fatalf("byte %d: open gave %v, the check %v", at, again, err)
			}
			continue
		}
		if opened++; opened%8 != 0 {
			continue // it takes longer than the check, and most of the pages are of the past
		}
		s, err := boltstore.Open(path, boltstore.Options{})
		if err != nil {
			t.Fatalf("byte %d: checked, but %v", at, err)
		}
		if got := told(t, s); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("byte %d: it was opened, and tells something else", at)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Error("no damage was found")
	}
	t.Logf("%d bytes, of every %dth one bit: found in %d", len(content), step, found)
}

// A file that was cut off is refused, wherever, unless nothing was there.
func TestTruncatedFile(t *testing.T) {
	content := lived(t)
	path := newFile(t)
	write(t, path, content)
	s := open(t, path, boltstore.Options{})
	want := told(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for length := 1; length < len(content); length += 1021 {
		write(t, path, content[:length])
		s, err := boltstore.Open(path, boltstore.Options{})
		switch {
		case err == nil:
			if got := told(t, s); fmt.Sprint(got) != fmt.Sprint(want) || s.Close() != nil {
				t.Fatalf("%d bytes of %d: it was opened, and tells something else", length, len(content))
			}
			continue
		case !errors.Is(err, boltstore.ErrCorrupt) && !errors.Is(err, boltstore.ErrForeign):
			t.Fatalf("%d bytes of %d: %v", length, len(content), err)
		}
		refused++
		unchanged(t, path, content[:length])
	}
	if refused < len(content)/1021/2 {
		t.Errorf("%d lengths were refused", refused)
	}
}
