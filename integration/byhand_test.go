//go:build integration

package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestHoldByHand: while one user after the other fails and is signed out, an operator
// stops everything. A second later there is no MESSAGE, no strike and no sign-out any
// more, also of those in the middle of a recovery. After the end of the hold who was told
// before subscribes again, and was told once; the others are dealt with.
func TestHoldByHand(t *testing.T) {
	t.Parallel()
	const many, before = 60, 12
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{
		"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "2s", "REWATCH_OUTAGE_RATIO": "1", "REWATCH_ADMIN_TOKEN": "let-me-in",
	})
	user := func(i int) string { return fmt.Sprintf("user%d", i) }
	dialogs := make([]*dialog, many)
	for i := range many {
		_, dialogs[i] = established(c, n, user(i), "bob")
		c.answer("NOTIFY", user(i), 480, "Temporarily Unavailable")
	}
	fail := func(i int) { n.notify(dialogs[i], patience) }
	acts := func(m *message) bool {
		return !m.again && (m.method == "MESSAGE" || m.method == "REGISTER" && m.get("expires") == "0")
	}
	// One fails each 100 ms, so that at any moment some are told, some awaited and some
	// signed out.
	next, ticks := 0, time.NewTicker(100*time.Millisecond)
	defer ticks.Stop()
	failing := func(more int) {
		for range more {
			<-ticks.C
			fail(next)
			next++
		}
	}
	failing(before)
	eventually(t, patience, "some are told, some signed out", func() bool {
		if next < many/2 {
			failing(1)
		}
		return c.count(to("MESSAGE", user(0))) == 1 && c.count(signOutOf(user(3))) == 1
	})
	if got := r.change("PUT", "/api/v1/hold", `{"reason":"a change of the core"}`); got != http.StatusOK {
		t.Fatalf("hold: %d", got)
	}
	held := time.Now()
	failing(10)
	strikes := func() (all int) {
		for i := range many {
			sent, _ := r.strikes(user(i))
			all += sent
		}
		return all
	}
	had := strikes()
	if had == 0 {
		t.Fatal("nobody has a strike")
	}
	failing(many - next)
	holds(t, 3*time.Second, "no strike is added", func() bool { return strikes() == had })
	var last time.Duration
	for _, m := range c.all(acts) {
		last = max(last, m.at.Sub(held))
	}
	t.Logf("%d failed, %d strikes; the last MESSAGE or sign-out came %v after the hold", next, had, last)
	if last > time.Second {
		t.Errorf("a MESSAGE or a sign-out came %v after the hold", last)
	}

	// Who was told and not signed out is in the middle of its recovery.
	var told []int
	for i := range many {
		if c.count(to("MESSAGE", user(i))) == 1 && c.count(signOutOf(user(i))) == 0 {
			told = append(told, i)
		}
	}
	if len(told) == 0 {
		t.Fatal("nobody was in the middle of a recovery")
	}
	signedOut := c.count(func(m *message) bool { return acts(m) && m.method == "REGISTER" })
	if got := r.change("DELETE", "/api/v1/hold", ""); got != http.StatusOK {
		t.Fatalf("resume: %d", got)
	}
	for _, i := range told {
		c.answer("NOTIFY", user(i), 200, "OK")
		d, resp := c.subscribe(wish{user: user(i), buddy: "bob"})
		if resp.status != 200 {
			t.Fatalf("SUBSCRIBE of %s: %v", user(i), resp)
		}
		n.notify(n.dialog(d.callID), patience)
	}
	eventually(t, patient, "who failed in the hold is told", func() bool {
		return c.count(to("MESSAGE", user(many-1))) == 1
	})
	for _, i := range told {
		if got := c.count(to("MESSAGE", user(i))); got != 1 || c.count(signOutOf(user(i))) != 0 {
			t.Errorf("%s got %d MESSAGEs, and %d de-REGISTERs", user(i), got, c.count(signOutOf(user(i))))
		}
	}
	t.Logf("%d were in the middle, %d had been signed out", len(told), signedOut)
}

// signOutOf matches the de-REGISTER of a user.
func signOutOf(user string) func(*message) bool {
	register := to("REGISTER", user)
	return func(m *message) bool { return register(m) && m.get("expires") == "0" }
}

// change asks for a change as an administrator, and gives the status.
func (r *rewatch) change(method, path, body string) int {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.s.ip(30)+":9090"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer let-me-in")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
