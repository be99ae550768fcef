//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A handset is a watcher behind the scripted core that may be out of reach. It notes the
// CSeqs of the NOTIFYs that it has taken.
type handset struct {
	*dialog

	c      *scscf
	server *dialog
	user   string
	mu     sync.Mutex
	seen   []int
}

// handset subscribes a user, who gets the first NOTIFY.
func (c *scscf) handset(n *notifier, user string) *handset {
	c.t.Helper()
	d, r := c.subscribe(wish{user: user, buddy: "bob"})
	if r.status != 200 {
		c.t.Fatal("SUBSCRIBE:", r.status)
	}
	h := &handset{dialog: d, c: c, server: n.dialog(d.callID), user: user}
	h.back()
	if r := n.notify(h.server, patience); r == nil || r.status != 200 {
		c.t.Fatal("the first NOTIFY:", r)
	}
	return h
}

// back has the handset answer again.
func (h *handset) back() {
	h.c.script("NOTIFY", h.user, func(m *message) {
		cseq, _, _ := strings.Cut(m.get("cseq"), " ")
		number, _ := strconv.Atoi(cseq)
		h.mu.Lock()
		h.seen = append(h.seen, number)
		h.mu.Unlock()
		h.c.reply(m, 200, "OK")
	})
}

func (h *handset) saw() []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.seen)
}

// misses has the server send states that do not reach the handset, and be answered 200.
func (h *handset) misses(n *notifier, states int) {
	h.c.t.Helper()
	for range states {
		if r := n.notify(h.server, patience); r == nil || r.status != 200 {
			h.c.t.Fatal("a NOTIFY that is to be kept:", r)
		}
	}
}

// TestRedelivery: a phone that was out of reach gets the newest state with its first sign
// of life, in the same dialog, and nobody gets a MESSAGE.
func TestRedelivery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n, c := s.startNotifier(), s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_REDELIVER": "10m"})
	signs := map[string]func(h *handset){
		"refresh": func(h *handset) { c.again(h.dialog, 3600) },
		"REGISTER": func(h *handset) {
			if r := c.register(h.user, 3600); r.status != 200 {
				t.Error("REGISTER:", r.status)
			}
		},
		"time": func(*handset) {},
	}
	cuts := map[string]func(user string){
		"silence": func(user string) { c.silence("NOTIFY", user) },
		"480":     func(user string) { c.answer("NOTIFY", user, 480, "Temporarily Unavailable") },
	}
	var all sync.WaitGroup
	for sign, alive := range signs {
		for name, cut := range cuts {
			all.Go(func() {
				h := c.handset(n, strings.ToLower("u"+sign+name))
				cut(h.user)
				h.misses(n, 3)
				h.back()
				within := 2 * time.Second
				if alive(h); sign == "time" {
					within = 15 * time.Second
				}
				eventually(t, within, fmt.Sprintf("%s after %s: the phone has the newest state", sign, name), func() bool {
					seen := h.saw()
					return seen[len(seen)-1] == 4
				})
				if seen := h.saw(); !slices.IsSorted(seen) {
					t.Errorf("%s after %s: the phone saw %v", sign, name, seen)
				}
				if r := n.notify(h.server, patience); r == nil || r.status != 200 {
					t.Errorf("%s after %s: the next NOTIFY: %v", sign, name, r)
				}
			})
		}
	}
	all.Wait()
	eventually(t, patience, "nothing is kept, all was delivered", func() bool {
		return r.metric("rewatch_redeliver_kept") == 0 && r.metric("rewatch_redelivered_total", `result="delivered"`) >= float64(len(signs)*len(cuts))
	})
	if n := c.count(func(m *message) bool { return m.method == "MESSAGE" }); n > 0 {
		t.Errorf("%d MESSAGEs", n)
	}
}

// TestRedeliveryInVain: a phone that has forgotten its dialog is recovered at once, and so
// is one for which there is no room, or whose NOTIFY was lost with the process.
func TestRedeliveryInVain(t *testing.T) {
	t.Parallel()
	t.Run("481", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		n, c := s.startNotifier(), s.startSCSCF()
		s.startRewatch(env{"REWATCH_REDELIVER": "10m"})
		h := c.handset(n, "alice")
		c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
		h.misses(n, 1)
		c.answer("NOTIFY", "alice", 481, "Subscription Does Not Exist")
		c.register("alice", 3600)
		c.expect(patience, "the MESSAGE", to("MESSAGE", "alice"))
		if r := n.notify(h.server, patience); r == nil || r.status != 481 {
			t.Error("the next NOTIFY:", r)
		}
	})
	t.Run("no room", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		n, c := s.startNotifier(), s.startSCSCF()
		s.startRewatch(env{"REWATCH_REDELIVER": "10m", "REWATCH_MAX_REDELIVER": "1KiB"})
		h := c.handset(n, "alice")
		c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
		if r := n.notify(h.server, patience); r == nil || r.status != 481 {
			t.Error("the NOTIFY:", r)
		}
		c.expect(patience, "the MESSAGE", to("MESSAGE", "alice"))
	})
	t.Run("kill", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		n, c := s.startNotifier(), s.startSCSCF()
		settings := env{"REWATCH_REDELIVER": "10m", "REWATCH_STATE": "file:" + s.file("state.db"), "REWATCH_STATE_SYNC": "0s"}
		r := s.startRewatch(settings)
		h := c.handset(n, "alice")
		c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
		h.misses(n, 1) // the server has its 200 once the file has it
		r.signal(syscall.SIGKILL)
		_ = r.wait(patience)
		s.startRewatch(settings)
		c.expect(patience, "the MESSAGE", to("MESSAGE", "alice"))
	})
}
