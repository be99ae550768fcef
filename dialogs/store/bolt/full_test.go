//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rewatch/dialogs/store"
	"rewatch/dialogs/store/bolt"
	"rewatch/policy"
)

// runOutOfRoom saves in a file that may not grow, then in one that may again.
func runOutOfRoom(path string) {
	s, err := bolt.Open(path, bolt.Options{Sync: time.Millisecond})
	check(err)
	ctx := context.Background()
	var limit unix.Rlimit
	check(unix.Getrlimit(unix.RLIMIT_FSIZE, &limit))
	most := limit.Cur
	limit.Cur = 64 << 10 // more than there is, less than there will be
	check(unix.Setrlimit(unix.RLIMIT_FSIZE, &limit))
	saved := make(map[string]policy.State)
	count := 0
	for s.Ping(ctx) == nil {
		count++
		aor := fmt.Sprint("user-", count)
		state := policy.State{Sent: count, Broken: make([]policy.Broken, 50)}
		if _, err := s.Save(ctx, store.Record{AOR: aor, State: state}); err == nil {
			saved[aor] = state
		}
		_ = s.Sync(ctx, "")
	}
	fmt.Println("full:", s.Ping(ctx))
	if _, err := s.Save(ctx, store.Record{AOR: "late", State: policy.State{Sent: 1}}); err == nil {
		fmt.Println("it promises what it cannot keep")
	}
	limit.Cur = most
	check(unix.Setrlimit(unix.RLIMIT_FSIZE, &limit))
	for s.Ping(ctx) != nil {
		time.Sleep(10 * time.Millisecond)
	}
	for aor, want := range saved {
		if r, _ := s.Load(ctx, aor); r.State.Sent != want.Sent {
			fmt.Println("lost:", aor)
		}
	}
	check(s.Close())
	s, err = bolt.Open(path, bolt.Options{})
	check(err)
	for aor, want := range saved {
		if r, _ := s.Load(ctx, aor); r.State.Sent != want.Sent || len(r.State.Broken) != 50 {
			fmt.Println("lost for good:", aor)
		}
	}
	fmt.Println("room again")
	os.Exit(0)
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// A disk that is full is told of, nothing is lost that was promised, and when there is
// room again all is as before.
func TestFullDisk(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fullFile+"="+newFile(t))
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != 2 || !strings.HasPrefix(lines[0], "full: commit: ") || lines[1] != "room again" {
		t.Errorf("%v: %s", err, out)
	}
}

// A file that is taken away, exchanged or cut off while it is in use is told of.
func TestFileTakenAway(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"removed": os.Remove,
		"cut off": func(path string) error { return os.Truncate(path, 5000) },
		"emptied": func(path string) error { return os.Truncate(path, 0) },
		"written over": func(path string) error { // by another of its kind, as cp does
			s, err := bolt.Open(path+"2", bolt.Options{})
			if err == nil {
				err = s.Close()
			}
			content, failed := os.ReadFile(path + "2")
			if err = errors.Join(err, failed); err == nil {
				err = os.WriteFile(path, append(content, make([]byte, 1<<20)...), 0o600)
			}
			return err
		},
		"exchanged": func(path string) error {
			content, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path+"2", content, 0o600)
			}
			if err == nil {
				err = os.Rename(path+"2", path)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			s, err := bolt.Open(path, bolt.Options{Sync: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			save(t, s, alice, 0, policy.State{Sent: 1})
			if err := s.Sync(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if err := harm(path); err != nil {
				t.Fatal(err)
			}
			save(t, s, "bob", 0, policy.State{Sent: 1})
			if err := s.Sync(t.Context(), ""); err == nil {
				t.Error("it was committed")
			}
			if s.Ping(t.Context()) == nil {
				t.Error("it says that all is well")
			}
			if _, err := s.Save(t.Context(), store.Record{AOR: "carol", State: policy.State{Sent: 1}}); err == nil {
				t.Error("it promises what it cannot keep")
			}
			if r, _ := s.Load(t.Context(), alice); r.State.Sent != 1 {
				t.Errorf("it has forgotten %+v", r)
			}
			if s.Close() == nil {
				t.Error("it was closed without a word")
			}
		})
	}
}
