package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// Each entry is one whole line, in the file and in the log, and only the owner may read
// the file; one that was moved away is begun anew.
func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, nil, 0o644); err != nil { //nolint:gosec // too open, on purpose
		t.Fatal(err)
	}
	var out bytes.Buffer
	l, err := Open(path, zerolog.New(zerolog.SyncWriter(&out)))
	if err != nil {
		t.Fatal(err)
	}
	e := Entry{
		Time: time.Unix(1_800_000_000, 0), Actor: Rewatch, Action: SignOut, User: "sip:alice@ims.example",
		Reason: "a\n\"quoted\" line", Proof: "3 of 3", Detail: "HTTP 204",
	}
	l.Record(e)
	content, err := os.ReadFile(path)
	if err != nil || bytes.Count(content, []byte("\n")) != 1 {
		t.Fatalf("%q, %v", content, err)
	}
	var got map[string]string
	if err := json.Unmarshal(content, &got); err != nil || len(got) != 7 || got["user"] != e.User || got["reason"] != e.Reason ||
		got["time"] != "2027-01-15T08:00:00Z" || got["proof"] != e.Proof || got["actor"] != Rewatch || got["action"] != SignOut || got["detail"] != e.Detail {
		t.Errorf("%v, %v", got, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	if !strings.Contains(out.String(), `"action":"sign-out"`) {
		t.Errorf("the log has %s", out.String())
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { l.Record(Entry{Action: "reset", User: fmt.Sprint(i)}) })
	}
	all.Wait()
	again, _ := os.ReadFile(path)
	if n := bytes.Count(again, []byte("\n")); n != 20 || !json.Valid(bytes.SplitN(again, []byte("\n"), 2)[0]) {
		t.Errorf("%d lines", n)
	}
}

func TestNoFile(t *testing.T) {
	var out bytes.Buffer
	l, err := Open("", zerolog.New(&out))
	if err != nil {
		t.Fatal(err)
	}
	l.Record(Entry{Action: "hold"})
	if !strings.Contains(out.String(), `"action":"hold"`) {
		t.Errorf("the log has %s", out.String())
	}
	(*Log)(nil).Record(Entry{})
	missing := filepath.Join(t.TempDir(), "no", "audit.log")
	if _, err := Open(missing, zerolog.Nop()); err == nil || strings.Count(err.Error(), missing) != 1 {
		t.Errorf("a file that cannot be made: %v", err)
	}
}

// A file that cannot be written any more is told of, and stops nothing.
func TestTrouble(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l, err := Open(filepath.Join(dir, "audit.log"), zerolog.New(&out))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l.Record(Entry{Action: Ban})
	if !strings.Contains(out.String(), "cannot be written") {
		t.Errorf("the log has %s", out.String())
	}
}
