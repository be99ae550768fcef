//go:build integration

package integration

import (
	"bytes"
	bin "encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// usedFile is a state file that was in use: with users, subscriptions and registrations.
func usedFile(t *testing.T) []byte {
	t.Helper()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	path := s.file("state.db")
	r := s.startRewatch(env{"REWATCH_STATE": "file:" + path})
	for i := range 40 {
		user := fmt.Sprint("user", i)
		_, d := established(c, n, user, "bob")
		if i%4 == 0 {
			c.answer("NOTIFY", user, 480, "Temporarily Unavailable")
			n.notify(d, patience)
		}
	}
	r.kept()
	r.stop()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// bolt changes a file as bbolt does.
func bolt(t *testing.T, path string, change func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err == nil {
		err = errors.Join(db.Update(change), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// formatOf says of a state file that it has another format.
func formatOf(n uint64) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		bolt(t, path, func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("rewatch")).Put([]byte("format"), bin.BigEndian.AppendUint64(nil, n))
		})
	}
}

// TestStateFileRefused: a file that is no state file stops the start with one line that
// names it and says what is wrong, and is left as it is.
func TestStateFileRefused(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(t *testing.T, path string){
		"a text": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("these are my notes\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"of another program": func(t *testing.T, path string) {
			bolt(t, path, func(tx *bbolt.Tx) error {
				_, err := tx.CreateBucket([]byte("photographs"))
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const want = "not a state file"
			s := newSite(t)
			s.startNotifier()
			path := s.file("state.db")
			make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r := s.launchRewatch(env{"REWATCH_STATE": "file:" + path})
			var exit *exec.ExitError
			if err := r.wait(patience); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("rewatch ended with %v, want 1", err)
			}
			out := strings.TrimSpace(r.output())
			if strings.Contains(out, "\n") || !strings.Contains(out, "REWATCH_STATE: "+path+": ") || !strings.Contains(out, want) {
				t.Errorf("it says, and not in one line %q:\n%s", want, out)
			}
			s.checked(t, path, want)
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

// checked makes sure that "rewatch check" finds fault with a state file.
func (s *site) checked(t *testing.T, path, want string) {
	t.Helper()
	check := exec.Command(binary, "check")
	check.Env = s.settings(env{"REWATCH_STATE": "file:" + path})
	told, err := check.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(told), want) {
		t.Errorf("rewatch check: %v\n%s", err, told)
	}
}

// TestStateFileMovedAside: a state file that cannot be read is moved aside as it is and an
// alarm tells of it; rewatch starts and serves. The next start takes up the new file, and
// the alarm ends when the old one is gone.
func TestStateFileMovedAside(t *testing.T) {
	t.Parallel()
	content := usedFile(t)
	for name, c := range map[string]struct {
		harm func(t *testing.T, path string)
		want string
	}{
		"cut off": {func(t *testing.T, path string) {
			if err := os.Truncate(path, int64(len(content)/3)); err != nil {
				t.Fatal(err)
			}
		}, "damaged"},
		"a bit is wrong": {func(t *testing.T, path string) {
			// Wherever it is: some of its pages are of the past.
			wrong := bytes.ReplaceAll(content, []byte("sip:user8@"), []byte("sip:tser8@"))
			if err := os.WriteFile(path, wrong, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "damaged"},
		"overwritten": {func(t *testing.T, path string) {
			wrong := bytes.Clone(content)
			for i := range wrong[:16<<10] {
				wrong[i] = byte(i * 7)
			}
			if err := os.WriteFile(path, wrong, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "damaged"},
		"of a version before":  {formatOf(2), "another version of rewatch"},
		"of a version to come": {formatOf(4), "another version of rewatch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			n := s.startNotifier()
			scscf := s.startSCSCF()
			hook := s.startWebhook()
			path := s.write("state.db", string(content))
			c.harm(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s.checked(t, path, c.want)
			settings := env{"REWATCH_STATE": "file:" + path, "REWATCH_ALARM_WEBHOOK": hook.url}
			r := s.startRewatch(settings)
			aside, err := filepath.Glob(path + ".unreadable-*")
			if err != nil || len(aside) != 1 {
				t.Fatalf("moved aside: %v, %v", aside, err)
			}
			if after, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed (%v)", err)
			}
			eventually(t, patience, "the alarm is told", func() bool {
				return hook.about("state-lost", "", false) == 1 && r.metric("rewatch_alarms_active", `name="state-lost"`) == 1
			})
			established(scscf, n, "alice", "bob")
			r.kept()
			r.kill()
			again := s.startRewatch(settings)
			if got := again.metric("rewatch_subscriptions"); got != 1 {
				t.Errorf("%v subscriptions are left of the one in the new file", got)
			}
			if more, _ := filepath.Glob(path + ".unreadable-*"); len(more) != 1 {
				t.Errorf("moved aside again: %v", more)
			}
		})
	}
}

// TestStateFileInUse: of two rewatches on one file the second does not start, and the
// first does not notice.
func TestStateFileInUse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	settings := env{"REWATCH_STATE": "file:" + s.file("state.db")}
	first := s.startRewatch(settings)
	established(c, n, "alice", "bob")
	first.kept()
	other := newSite(t)
	other.startNotifier()
	second := other.launchRewatch(settings)
	if err := second.wait(patience); err == nil {
		t.Error("the second one ended with status 0")
	}
	if out := strings.TrimSpace(second.output()); strings.Contains(out, "\n") || !strings.Contains(out, "in use by another process") {
		t.Errorf("the second one says:\n%s", out)
	}
	established(c, n, "carol", "bob")
	first.kept()
	first.kill()
	if again := s.startRewatch(settings); again.metric("rewatch_subscriptions") != 2 {
		t.Errorf("%v subscriptions are left", again.metric("rewatch_subscriptions"))
	}
}

// TestStateDiskFull: when the disk is full SIP goes on, and so do MESSAGEs; nobody is
// signed out, and there is an alarm. When there is room again it is cleared, and what was
// learnt meanwhile is kept.
func TestStateDiskFull(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	hook := s.startWebhook()
	settings := env{
		"REWATCH_STATE": "file:" + s.file("state.db"), "REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s",
		"REWATCH_LOG_LEVEL": "error", "REWATCH_ALARM_WEBHOOK": hook.url, // else the log would be limited, too
	}
	r := s.startRewatch(settings)
	_, alice := established(c, n, "alice", "bob")
	r.kept()
	alarms := func(cleared bool) int { return hook.about("store-unavailable", "", cleared) }

	limit := unix.Rlimit{Cur: 96 << 10, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(r.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	users := 0
	for ; alarms(false) == 0 && users < 2000; users++ {
		established(c, n, fmt.Sprint("user", users), "bob")
	}
	eventually(t, patience, "the alarm is told", func() bool {
		return alarms(false) == 1 && r.metric("rewatch_alarms_active", `name="store-unavailable"`) == 1
	})
	slowest := time.Duration(0)
	for i := range 50 {
		began := time.Now()
		_, d := established(c, n, fmt.Sprint("late", i), "bob")
		if resp := n.notify(d, patience); resp == nil || resp.status != 200 {
			t.Fatalf("a NOTIFY with a full disk: %v", resp)
		}
		slowest = max(slowest, time.Since(began))
	}
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	if resp := n.notify(alice, patience); resp == nil || resp.status != 481 {
		t.Fatalf("a NOTIFY that fails with a full disk: %v", resp)
	}
	c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	eventually(t, patience, "alice is given up", func() bool { return len(hook.of("watcher-exhausted", "alice", false)) == 1 })
	holds(t, 2*time.Second, "nobody is signed out", func() bool { return c.count(to("REGISTER", "alice")) == 0 })

	limit.Cur = unix.RLIM_INFINITY
	if err := unix.Prlimit(r.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the alarm is cleared", func() bool { return alarms(true) == 1 })
	r.kept()
	before := r.metric("rewatch_subscriptions")
	r.kill()
	r = s.startRewatch(settings)
	if got := r.metric("rewatch_subscriptions"); got != before || got < float64(users) {
		t.Errorf("%v subscriptions are left of %v", got, before)
	}
	if got := r.metric("rewatch_alarms_active", `name="watcher-exhausted"`); got != 1 {
		t.Errorf("rewatch_alarms_active is %v", got)
	}
	t.Logf("full after %d users; REGISTER, SUBSCRIBE and NOTIFY took %v at most then", users, slowest)
}

// TestOutageOverRestart: rewatch is killed in an outage. The next one knows of it, and
// of whom it broke; it is the same alarm.
func TestOutageOverRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	hook := s.startWebhook()
	settings := env{
		"REWATCH_STATE": "file:" + s.file("state.db"), "REWATCH_ALARM_WEBHOOK": hook.url, "REWATCH_MESSAGE_RATE": "50",
	}
	r := s.startRewatch(settings)
	user := func(i int) string { return fmt.Sprintf("user%d", i) }
	for i := range crowd {
		established(c, n, user(i), "bob")
	}
	c.fallSilent(user)
	for _, d := range n.subscriptions() {
		_, hop := d.hop()
		n.send("udp", hop, n.build(d, d.next(), "active;expires=3599"))
	}
	// Those who failed before it was noticed are in a recovery of their own, which waits.
	lost := 0.0
	eventually(t, patience, "the outage is noticed", func() bool {
		lost = r.metric("rewatch_outage_watchers")
		return r.metric("rewatch_outage") == 1 && r.metric("rewatch_notify_total", `result="failed"`) == crowd
	})
	for range 3 {
		r.kept()
		r.kill()
		r = s.startRewatch(settings)
		if held, now := r.metric("rewatch_outage"), r.metric("rewatch_outage_watchers"); held != 1 || now < lost {
			t.Errorf("after the restart rewatch_outage is %v, and %v watchers wait for its end, %v did before", held, now, lost)
		}
	}
	messages := func() int { return c.count(func(m *message) bool { return m.method == "MESSAGE" }) }
	holds(t, 2*time.Second, "nobody is told", func() bool { return messages() == 0 })

	c.comeBack(user)
	eventually(t, patient, "the outage is over", func() bool { return hook.about("core-outage", c.addr, true) == 1 })
	eventually(t, crowd*time.Second/50+10*time.Second, "everybody is told", func() bool { return messages() == crowd })
	for i := range crowd {
		if all := c.all(to("MESSAGE", user(i))); len(all) != 1 {
			t.Errorf("%s: %d MESSAGEs", user(i), len(all))
		}
	}
	ids := make(map[string]bool)
	hook.mu.Lock()
	defer hook.mu.Unlock()
	for _, p := range hook.posts {
		if p.Name == "core-outage" {
			ids[p.ID] = true
		}
	}
	if len(ids) != 1 {
		t.Errorf("%d alarms, want one", len(ids))
	}
}

// subscriptions are those at the server.
func (n *notifier) subscriptions() (all []*dialog) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range n.dialogs {
		all = append(all, d)
	}
	return all
}
