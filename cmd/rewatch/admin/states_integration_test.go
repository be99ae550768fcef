//go:build integration

package admin

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
	"rewatch/policy"
	"rewatch/policy/alarm"
)

// figuresOf are the metrics of a summary.
func figuresOf(values map[string]float64) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	for name, value := range values {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
		g.Set(value)
		registry.MustRegister(g)
	}
	return registry
}

// state is one in which an operator may find rewatch, and what is to be read then.
type state struct {
	name     string
	figures  map[string]float64
	backend  *fakeBackend
	do       string // in the page, before it is read
	want     []string
	wantNone []string
}

const calm = "Every NOTIFY gets through"

func consoleStates(now time.Time) []state {
	served := map[string]float64{"rewatch_subscriptions": 12}
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	lost := policy.Broken{Event: "presence", Resource: "sip:bob@ims.example", CallID: "c1", Cause: "408 Request Timeout", Since: ago(20 * time.Second)}
	steps := []fakeStep{
		{At: ago(5 * time.Minute), From: "server", To: "rewatch", What: "NOTIFY presence"},
		{At: ago(20 * time.Second), From: "rewatch", To: "server", What: "481 Subscription Does Not Exist"},
	}
	broken := func(standing, phase string) fakeRecovery {
		return fakeRecovery{
			ID: "1", AOR: "sip:alice@ims.example", Started: ago(20 * time.Second), Phase: phase, Of: 3, Attempt: 1,
			Until: ago(time.Second), Broken: []policy.Broken{lost}, Steps: steps, Stands: standing, Hop: "10.0.0.7:5060",
		}
	}
	given := func(standing string) []fakeRecovery {
		r := broken(standing, "exhausted")
		r.Ended, r.Result, r.Attempt = ago(10*time.Second), "exhausted", 3
		return []fakeRecovery{r}
	}
	kept := map[string]any{"notifies": 2, "since": ago(90 * time.Second)}
	exhausted := []alarm.Alarm{{ID: "a", Name: "watcher-exhausted", Object: "sip:alice@ims.example", Severity: alarm.Minor, Text: "user given up", RaisedAt: ago(10 * time.Second)}}
	var crowd []fakeRecovery
	var names []string
	for i := range 30 {
		r := broken("held", "gathering")
		r.ID, r.AOR = fmt.Sprint(100+i), fmt.Sprintf("sip:user%d@ims.example", 20+i)
		crowd, names = append(crowd, r), append(names, r.AOR)
	}
	return []state{
		{"calm", served, &fakeBackend{}, "", []string{calm, "Ready", "No alarm."}, nil},
		{"no subscription", map[string]float64{}, &fakeBackend{}, "", []string{"No subscription is known yet"}, []string{calm}},
		{
			"running", served, &fakeBackend{recoveries: []fakeRecovery{broken("", "waiting")}}, "",
			[]string{"Waiting for SUBSCRIBE", "next step is due", "for 5 min"},
			[]string{calm, "Held"},
		},
		{
			"held by hand", served, &fakeBackend{held: "a change of the core", recoveries: []fakeRecovery{broken("held", "gathering")}}, "",
			[]string{"Held by hand", "a change of the core. Nobody is told, counted or signed out", "waits for the end of the hold"},
			[]string{calm, "next step", "Just broke", "\nReady\n"},
		},
		{
			"held, thirty of them", served, &fakeBackend{holds: []fakeHold{{Hop: "10.0.0.7:5060", Reason: "unreachable", Waiting: 30}}, recoveries: crowd}, "",
			append(names, "30 users wait"),
			[]string{calm, "next step", "Just broke"},
		},
		{
			"outage", served, &fakeBackend{holds: []fakeHold{{Hop: "10.0.0.7:5060", Reason: "unreachable", Waiting: 7}}, recoveries: []fakeRecovery{broken("held", "waiting")}}, "",
			[]string{"Holding", "10.0.0.7:5060 is held", "it cannot be reached", "rewatch asks it by OPTIONS", "7 users wait", "waits for the end of the hold of 10.0.0.7:5060"},
			[]string{calm, "next step"},
		},
		{"dry run", served, &fakeBackend{dry: true}, "", []string{"Dry run", "rewatch only observes", "No recovery runs."}, []string{calm}},
		{
			"kept",
			map[string]float64{"rewatch_subscriptions": 3, "rewatch_redeliver_kept": 2},
			&fakeBackend{}, "",
			[]string{"2 NOTIFYs kept for redelivery", "NOTIFYs wait for their clients"},
			[]string{calm},
		},
		{
			"kept for a phone",
			map[string]float64{"rewatch_subscriptions": 3, "rewatch_redeliver_kept": 2},
			&fakeBackend{
				recoveries: []fakeRecovery{
					{
						ID: "3", AOR: "sip:alice@ims.example", Started: ago(90 * time.Second), Phase: "idle", Delivery: true, Kept: kept,
						Broken: []policy.Broken{lost}, Steps: deliverySteps(now),
					},
					{ID: "2", AOR: "sip:carol@ims.example", Started: ago(300 * time.Second), Ended: ago(200 * time.Second), Phase: "idle", Delivery: true, Result: "delivered", Broken: []policy.Broken{lost}, Steps: steps},
				},
				found:    map[string][]map[string]any{"alice": {{"aor": "sip:alice@ims.example", "registered": true, "subscriptions": 1}}},
				watchers: map[string]any{"sip:alice@ims.example": map[string]any{"aor": "sip:alice@ims.example", "registered": true, "kept": kept}},
			},
			`document.querySelector("#broken details").open = true`,
			[]string{"Waiting for phones", "Kept for the phone", "presence of sip:bob@ims.example", "kept for the phone: 2, since ", "Delivered", "NOTIFY presence, try 2", "200 OK, kept for the phone"},
			[]string{calm, "Broken now", "MESSAGE 0", "Cause"},
		},
		{
			"kept for one who is found", served, &fakeBackend{
				found:    map[string][]map[string]any{"alice": {{"aor": "sip:alice@ims.example", "registered": true, "subscriptions": 1}}},
				watchers: map[string]any{"sip:alice@ims.example": map[string]any{"aor": "sip:alice@ims.example", "registered": true, "kept": kept}},
			},
			`{const f = document.getElementById("find"); f.value = "alice"; f.dispatchEvent(new Event("input"));
			  setTimeout(() => { const d = document.querySelector("#people details"); if (d) d.open = true }, 1200)}`,
			[]string{"sip:alice@ims.example", "kept for the phone: 2, since "},
			nil,
		},
		{
			"signed out",
			map[string]float64{},
			&fakeBackend{recoveries: given("signed-out"), alarms: exhausted}, "",
			[]string{"Signed out", "watcher-exhausted", "No recovery runs. Some users are given up"},
			[]string{calm, "No alarm.", "Given up, still"},
		},
		{
			"still registered", served, &fakeBackend{recoveries: given("registered"), alarms: exhausted}, "",
			[]string{"Given up, still registered"},
			[]string{calm, "Signed out"},
		},
		{
			"banned", served, &fakeBackend{recoveries: given("banned"), alarms: []alarm.Alarm{{ID: "b", Name: "watcher-banned", Object: "sip:alice@ims.example", Severity: alarm.Warning, Text: "user refused for 1h", RaisedAt: now}}}, "",
			[]string{"Banned", "watcher-banned"},
			[]string{calm, "No alarm."},
		},
		{
			"alarm", served, &fakeBackend{alarms: []alarm.Alarm{{ID: "c", Name: "state-lost", Object: "state.db", Severity: alarm.Major, Text: "moved aside", RaisedAt: now}}}, "",
			[]string{"state-lost", "moved aside", "Alarms are raised"},
			[]string{calm, "No alarm."},
		},
		{
			"took", served, &fakeBackend{recoveries: []fakeRecovery{{ID: "2", AOR: "sip:carol@ims.example", Started: ago(20 * time.Second), Ended: ago(19 * time.Second), Result: "recovered", Broken: []policy.Broken{lost}, Steps: steps}}}, "",
			[]string{"took 5 min"},
			[]string{"took 1"},
		},
		{
			"found", served, &fakeBackend{
				recoveries: []fakeRecovery{{ID: "2", AOR: "sip:dora@ims.example", Started: ago(300 * time.Second), Ended: ago(200 * time.Second), Result: "recovered", Broken: []policy.Broken{lost}, Steps: steps}},
				found:      map[string][]map[string]any{"dora": {{"aor": "sip:dora@ims.example", "registered": true, "subscriptions": 1}}},
				watchers: map[string]any{"sip:dora@ims.example": map[string]any{"aor": "sip:dora@ims.example", "registered": true, "list": []map[string]any{
					{"call_id": "d1", "event": "presence", "resource": "sip:erik@ims.example", "device": "urn:uuid:1", "state": "active", "last_notify": now},
				}}},
			},
			`{const f = document.getElementById("find"); f.value = "dora"; f.dispatchEvent(new Event("input"));
			  setTimeout(() => { const d = document.querySelector("#people details"); if (d) d.open = true }, 1200)}`,
			[]string{"Users found", "sip:dora@ims.example", "Registered", "1 subscription", "sip:erik@ims.example", "urn:uuid:1", "active", "Last NOTIFY", "Recovered"},
			nil,
		},
		{"clients", served, &fakeBackend{}, "", []string{"Linphone", "30 subscribed", "7 failed", "5 by message, 1 by refresh"}, nil},
	}
}

// deliverySteps are those of a NOTIFY that is kept and was tried.
func deliverySteps(now time.Time) []fakeStep {
	at := func(d time.Duration) time.Time { return now.Add(d - 90*time.Second) }
	return []fakeStep{
		{At: at(0), From: "server", To: "rewatch", What: "NOTIFY presence"},
		{At: at(0), From: "rewatch", To: "core", What: "NOTIFY presence"},
		{At: at(time.Second), From: "core", To: "rewatch", What: "480 Temporarily Unavailable"},
		{At: at(time.Second), From: "rewatch", To: "server", What: "200 OK, kept for the phone"},
		{At: at(6 * time.Second), From: "rewatch", To: "core", What: "NOTIFY presence, try 1"},
		{At: at(7 * time.Second), From: "core", To: "rewatch", What: "480 Temporarily Unavailable"},
		{At: at(16 * time.Second), From: "rewatch", To: "core", What: "NOTIFY presence, try 2"},
	}
}

// TestConsoleTellsTheState reads what a person reads, in each state, on a desk and on a
// telephone.
func TestConsoleTellsTheState(t *testing.T) {
	b := startBrowser(t)
	for _, width := range []int{1280, 390} {
		for _, s := range consoleStates(time.Now()) {
			t.Run(fmt.Sprint(s.name, " ", width), func(t *testing.T) {
				s.backend.ready = []Condition{{Name: "listeners", OK: true}}
				server := httptest.NewServer(New(config.AdminConfig{Token: "t"}, s.backend, figuresOf(s.figures), zerolog.Nop()).Handler())
				defer server.Close()
				b.open(server.URL, width, 1200)
				if s.do != "" {
					b.eval("%s", s.do)
				}
				var page, missing string
				for range 100 {
					page, missing = b.eval("document.body.innerText"), ""
					page = strings.ReplaceAll(page, "\u00a0", " ")
					for _, text := range s.want {
						if !strings.Contains(page, text) {
							missing = text
						}
					}
					if missing == "" {
						break
					}
					time.Sleep(50 * time.Millisecond)
				}
				if missing != "" {
					t.Errorf("the page does not say %q but\n%s", missing, page)
				}
				for _, text := range s.wantNone {
					if strings.Contains(page, text) {
						t.Errorf("the page says %q", text)
					}
				}
				if got := b.eval("document.documentElement.scrollWidth"); got != fmt.Sprint(width) {
					t.Errorf("the page is %s px wide", got)
				}
				b.shot(fmt.Sprint("state-", strings.ReplaceAll(s.name, " ", "-"), "-", width))
			})
		}
	}
}

// TestConsoleDrawsNoFalseAlarm: the 481 that rewatch means to say is not drawn as a
// failure, one from the phone is.
func TestConsoleDrawsNoFalseAlarm(t *testing.T) {
	b := startBrowser(t)
	backend := busyBackend(time.Now())
	backend.recoveries[0].Steps = []fakeStep{
		{At: time.Now(), From: "core", To: "rewatch", What: "481 Call/Transaction Does Not Exist"},
		{At: time.Now(), From: "rewatch", To: "server", What: "481 Subscription Does Not Exist"},
	}
	for _, width := range []int{1280, 390} {
		b.open(serveConsole(t, backend, "t")+"/#7", width, 1400)
		eventually(t, "the ladder", func() bool { return b.eval(`document.querySelectorAll("svg.ladder g.fail").length`) != "0" })
		if got := b.eval(`[...document.querySelectorAll("svg.ladder g.fail text.label")].map((t) => t.firstChild.data).join()`); got != "481 Call/Transaction Does Not Exist" {
			t.Errorf("at %d px drawn as failures: %s", width, got)
		}
	}
}

// TestConsoleOffersNothingWithoutToken: where there is no token, nothing asks for one.
func TestConsoleOffersNothingWithoutToken(t *testing.T) {
	b := startBrowser(t)
	for _, width := range []int{1280, 390} {
		b.open(serveConsole(t, busyBackend(time.Now()), ""), width, 1400)
		if page := b.eval("document.body.innerText"); strings.Contains(page, "Forgive") || strings.Contains(page, "Hold everything") || !strings.Contains(page, "sip:mallory@ims.example") {
			t.Errorf("at %d px the page offers what it cannot do:\n%s", width, page)
		}
	}
}

// TestConsoleShowsMessages: Call-ID, CSeq and branch are there when they are wanted, and
// the file comes for the token. Where no messages are kept nothing offers them.
func TestConsoleShowsMessages(t *testing.T) {
	b := startBrowser(t)
	for _, width := range []int{1280, 390} {
		backend := &lockedBackend{fakeBackend: busyBackend(time.Now())}
		backend.captured = map[string][]map[string]any{"7": {{
			"at": time.Now(), "transport": "udp", "from": "10.0.0.7:5060", "to": "10.0.0.1:5060",
			"start": "NOTIFY sip:alice@10.0.0.9 SIP/2.0", "call_id": "c-17@server", "cseq": "42 NOTIFY", "branch": "z9hG4bKrw17",
		}}}
		b.open(serveConsole(t, backend, "s3cret")+"/#7", width, 1400)
		says := func(text string) func() bool {
			return func() bool { return strings.Contains(b.eval("document.body.innerText"), text) }
		}
		eventually(t, "the offer", says("Call-IDs, CSeqs and branches"))
		if says("c-17@server")() {
			t.Error("shown before it was asked for")
		}
		b.eval(`document.querySelector("details.messages").open = true`)
		for _, text := range []string{"c-17@server", "42 NOTIFY", "z9hG4bKrw17", "NOTIFY sip:alice@10.0.0.9 SIP/2.0", "10.0.0.1:5060 udp"} {
			eventually(t, text, says(text))
		}
		if got := b.eval("document.documentElement.scrollWidth"); got != fmt.Sprint(width) {
			t.Errorf("the page is %s px wide", got)
		}
		b.eval(`[...document.querySelectorAll("button")].find((x) => x.textContent === "Download pcap").click()`)
		b.eval(`document.getElementById("token").value = "s3cret"`)
		b.eval(`document.getElementById("ask-yes").click()`)
		eventually(t, "the file", says("The file is downloaded."))
		b.eval("sessionStorage.clear()")
	}
	b.open(serveConsole(t, busyBackend(time.Now()), "s3cret")+"/#7", 1280, 1400)
	eventually(t, "the ladder", func() bool { return b.eval(`document.querySelectorAll("svg.ladder").length`) != "0" })
	if page := b.eval("document.body.innerText"); strings.Contains(page, "Download pcap") || strings.Contains(page, "branches") {
		t.Errorf("the page offers what is not kept:\n%s", page)
	}
}

// TestConsoleHolds goes the whole way from the button to the hold and back.
func TestConsoleHolds(t *testing.T) {
	b := startBrowser(t)
	backend := &lockedBackend{fakeBackend: busyBackend(time.Now())}
	b.open(serveConsole(t, backend, "s3cret"), 390, 1200)
	click := func(selector string) { b.eval("document.querySelector(%q).click()", selector) }
	says := func(text string) func() bool {
		return func() bool { return strings.Contains(b.eval("document.body.innerText"), text) }
	}
	click("#c-hold")
	b.eval(`document.getElementById("token").value = "s3cret"`)
	click("#ask-yes")
	eventually(t, "the question for a reason", says("Please give a reason."))
	b.eval(`document.getElementById("reason").value = "a change"`)
	click("#ask-yes")
	eventually(t, "the hold", says("a change. Nobody is told"))
	click("#c-resume")
	click("#ask-yes")
	eventually(t, "the end of it", func() bool { return !says("Held by hand")() })
	click("#c-dry")
	click("#ask-yes")
	eventually(t, "the dry run", says("rewatch only observes"))
}
