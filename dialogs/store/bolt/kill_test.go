package bolt_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs/store"
	"rewatch/dialogs/store/bolt"
	"rewatch/policy"
)

// victimFile makes this test binary a process that saves until it is killed, fullFile
// one that runs out of room.
const (
	victimFile = "REWATCH_TEST_VICTIM"
	fullFile   = "REWATCH_TEST_FULL"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(victimFile); path != "" {
		saveUntilKilled(path)
	}
	if path := os.Getenv(fullFile); path != "" {
		runOutOfRoom(path)
	}
	os.Exit(m.Run())
}

// saveUntilKilled counts up for four users, and says what it has saved, and what
// it knows to be committed.
func saveUntilKilled(path string) {
	ctx := context.Background()
	s, err := bolt.Open(path, bolt.Options{Sync: 5 * time.Millisecond})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	count := 0
	for r, err := range s.All(ctx) {
		if err != nil {
			fmt.Println("error", err)
		}
		count = max(count, r.State.Sent)
	}
	fmt.Println("opened", count)
	for {
		count++
		aor := fmt.Sprint("user", count%4)
		r, _ := s.Load(ctx, aor)
		r.State = policy.State{Sent: count, Broken: make([]policy.Broken, count%50)}
		if _, err := s.Save(ctx, r); err != nil {
			fmt.Println("error", err)
		}
		fmt.Println("saved", count)
		if count%7 == 0 {
			_ = s.Write(ctx, []store.Entry{{Kind: store.KindAlarm, Key: "count", Value: []byte(fmt.Sprint(count))}})
			fmt.Println("committed", count)
		}
	}
}

// SIGKILL at any moment: the file opens, everything that was known to be
// committed is there, and nothing that was never saved.
func TestKill(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 5
	}
	path := newFile(t)
	floor, ceiling := 0, 0
	for range kills {
		committed, saved := killOne(t, path, time.Duration(rand.N(30_000))*time.Microsecond)
		floor, ceiling = max(floor, committed), max(ceiling, saved)
		s, err := bolt.Open(path, bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		highest := 0
		for r, err := range s.All(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			highest = max(highest, r.State.Sent)
			if len(r.State.Broken) != r.State.Sent%50 {
				t.Errorf("%s is torn: %+v", r.AOR, r)
			}
		}
		if highest < floor || highest > ceiling+1 {
			t.Fatalf("found %d; %d was committed, %d was saved last", highest, floor, ceiling)
		}
		floor, ceiling = highest, highest
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("counted to %d in %d lives", floor, kills)
}

// killOne runs a victim, kills it some time after it has opened the file, and
// returns what it acknowledged.
func killOne(t *testing.T, path string, after time.Duration) (committed, saved int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // This test itself.
	cmd.Env = append(os.Environ(), victimFile+"="+path)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		what, number, _ := strings.Cut(lines.Text(), " ")
		n := 0
		_, _ = fmt.Sscan(number, &n)
		switch what {
		case "opened":
			saved = n
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		case "saved":
			saved = n
		case "committed":
			committed = n
		default:
			t.Errorf("the victim said: %s", lines.Text())
		}
	}
	_ = cmd.Wait()
	return committed, saved
}
