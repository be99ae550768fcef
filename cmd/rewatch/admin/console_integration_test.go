//go:build integration

package admin

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
)

// lockedBackend lets the test look at a fakeBackend while a browser uses it.
type lockedBackend struct {
	sync.Mutex
	*fakeBackend
}

func (l *lockedBackend) Reset(aor string) bool {
	l.Lock()
	defer l.Unlock()
	return l.fakeBackend.Reset(aor)
}

func (l *lockedBackend) Unban(aor string) bool {
	l.Lock()
	defer l.Unlock()
	return l.fakeBackend.Unban(aor)
}

func (l *lockedBackend) Hold(reason string) {
	l.Lock()
	defer l.Unlock()
	l.fakeBackend.Hold(reason)
}

func (l *lockedBackend) Resume() bool {
	l.Lock()
	defer l.Unlock()
	return l.fakeBackend.Resume()
}

func (l *lockedBackend) SetDryRun(on bool) {
	l.Lock()
	defer l.Unlock()
	l.dry = on
}

func (l *lockedBackend) Modes() []string {
	l.Lock()
	defer l.Unlock()
	return l.fakeBackend.Modes()
}

func (l *lockedBackend) Holds() any {
	l.Lock()
	defer l.Unlock()
	return l.fakeBackend.Holds()
}

func (l *lockedBackend) done() string {
	l.Lock()
	defer l.Unlock()
	return strings.Join(l.changed, ";")
}

func serveConsole(t *testing.T, b Backend, token config.Secret) string {
	server := httptest.NewServer(New(config.AdminConfig{Token: token}, b, fakeMetrics(), zerolog.Nop()).Handler())
	t.Cleanup(server.Close)
	return server.URL
}

// TestConsoleShows opens the console in a real browser. With CONSOLE_SHOTS=dir
// the tests leave pictures there.
func TestConsoleShows(t *testing.T) {
	b := startBrowser(t)
	b.open(serveConsole(t, busyBackend(time.Now()), "t")+"/#8", 1280, 1400)
	page := b.eval("document.body.innerText")
	for _, text := range []string{
		"sip:alice@ims.example", "MESSAGE 1 of 3", "1.203\u202fM", "Ready", "Lift the ban", "Recovered",
		"<script>alert(1)</script>", "no response after 28s",
	} {
		if !strings.Contains(page, text) && !strings.Contains(b.eval("document.querySelector('svg.ladder').textContent"), text) {
			t.Errorf("the page does not show %q", text)
		}
	}
	// What came from the network is text and never markup.
	if n := b.eval(`document.querySelectorAll("main script, main img, main b:not(.facts > b)").length + document.title`); n != "0● rewatch" {
		t.Errorf("the page has taken a name for markup: %s", n)
	}
	b.shot("wide")
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}})
	b.shot("dark")
}

func TestConsoleFitsAPhone(t *testing.T) {
	b := startBrowser(t)
	b.open(serveConsole(t, busyBackend(time.Now()), "t")+"/#7", 360, 1800)
	eventually(t, "the ladder", func() bool { return b.eval(`document.querySelector("svg.ladder") !== null`) == "true" })
	if got := b.eval("document.documentElement.scrollWidth"); got != "360" {
		t.Errorf("the page is %s px wide on a phone of 360", got)
	}
	b.shot("phone")
}

// TestConsoleForgives goes the whole way: the question, a wrong token, the right
// one, and no question for the token the second time.
func TestConsoleForgives(t *testing.T) {
	backend := &lockedBackend{fakeBackend: busyBackend(time.Now())}
	b := startBrowser(t)
	b.open(serveConsole(t, backend, "s3cret"), 900, 900)
	click := func(selector string) { b.eval("document.querySelector(%q).click()", selector) }
	text := func(id string) string { return b.eval("document.getElementById(%q).innerText", id) }

	click(`[aria-label="Lift the ban sip:mallory@ims.example"]`)
	b.shot("dialog")
	b.eval(`document.getElementById("token").value = "guess"`)
	click("#ask-yes")
	eventually(t, "the refusal", func() bool { return text("ask-error") == "This is not the right token." })
	b.eval(`document.getElementById("token").value = "s3cret"`)
	click("#ask-yes")
	eventually(t, "the unban", func() bool { return backend.done() == "unban sip:mallory@ims.example" })
	eventually(t, "the toast", func() bool { return text("toast") == "sip:mallory@ims.example is no longer banned." })
	click(`[aria-label="Forgive sip:mallory@ims.example"]`)
	if b.eval(`document.getElementById("ask-token").hidden`) != "true" {
		t.Error("the token is asked for again")
	}
	click("#ask-yes")
	eventually(t, "the reset", func() bool {
		return backend.done() == "unban sip:mallory@ims.example;reset sip:mallory@ims.example"
	})
}

// TestConsoleKeepsStill: what has not changed is not touched, and what was
// opened stays open while figures change.
func TestConsoleKeepsStill(t *testing.T) {
	b := startBrowser(t)
	b.open(serveConsole(t, busyBackend(time.Now()), ""), 1280, 900)
	b.eval(`document.querySelector("#ended details").open = true`)
	eventually(t, "the ladder", func() bool { return b.eval(`document.querySelector("svg.ladder") !== null`) == "true" })
	b.eval(`window.cards = [...document.querySelectorAll(".card")]; window.ladder = document.querySelector("svg.ladder")`)
	refreshes := func() string {
		return b.eval(`performance.getEntriesByType("resource").filter((e) => e.name.endsWith("/api/v1/summary")).length`)
	}
	for range 3 { // of which two have been shown when the third has come
		before := refreshes()
		b.eval(`document.dispatchEvent(new Event("visibilitychange"))`)
		eventually(t, "fresh figures", func() bool { return refreshes() != before })
	}
	if got := b.eval(`cards.every((c) => c.isConnected) && ladder.isConnected && document.querySelector("#ended details").open`); got != "true" {
		t.Error("the page was built anew although nothing had changed")
	}
}
