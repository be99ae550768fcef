//go:build integration

package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"rewatch/dialogs/pseudonym"
)

// TestPseudonymsAndAudit: the threshold flow leaves no user's name in the log, in a label
// or in an alarm, whoever is told of it (webhook, Alertmanager, SNMP); the audit file has
// one line for the sign-out and one for each change by an administrator, in clear text and
// for its owner only.
func TestPseudonymsAndAudit(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef0123"
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	hook, manager, d := s.startWebhook(), s.startAlertmanager(), s.startTrapd()
	file := s.file("audit.log")
	r := s.startRewatch(env{
		"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_LOG_LEVEL": "debug",
		"REWATCH_ALARM_WEBHOOK": hook.url, "REWATCH_ALARM_ALERTMANAGER": manager, "REWATCH_ALARM_SNMP": d.addr,
		"REWATCH_LOG_USERS": "pseudonym", "REWATCH_LOG_USERS_KEY": key, "REWATCH_AUDIT": file, "REWATCH_ADMIN_TOKEN": "let-me-in",
	})
	_, carol := established(c, n, "carol", "bob")
	_, alice := established(c, n, "alice", "bob")
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(alice, patience)
	n.notify(carol, patience)
	name := pseudonym.New(key).Of("sip:alice@ims.example")
	eventually(t, patient, "the alarm is told under the pseudonym", func() bool { return hook.about("watcher-exhausted", name, false) == 1 })
	eventually(t, patience, "Alertmanager and the trap's receiver have it", func() bool {
		return s.alerts(manager, "watcher-exhausted", name) == 1 && len(s.traps("1", "watcher-exhausted")) == 1
	})
	told := s.alertsText(manager)
	c.expect(patience, "de-REGISTER", to("REGISTER", "alice"))
	if status, body := r.get("/api/v1/watchers/sip:alice@ims.example"); status != 200 || !strings.Contains(body, "sip:alice@ims.example") {
		t.Errorf("the API says %d %s", status, body)
	}
	if got := r.post("/api/v1/watchers/sip:alice@ims.example/reset", "let-me-in"); got != 200 {
		t.Errorf("reset: %d", got)
	}
	eventually(t, patience, "the alarm is cleared under the pseudonym", func() bool { return hook.about("watcher-exhausted", name, true) == 1 })

	var lines []map[string]string
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		var v map[string]string
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("%v in %s", err, line)
		}
		lines = append(lines, v)
	}
	if len(lines) != 2 || lines[0]["action"] != "sign-out" || lines[0]["actor"] != "rewatch" || lines[0]["proof"] == "" || lines[0]["reason"] == "" ||
		lines[1]["action"] != "reset" || !strings.HasPrefix(lines[1]["actor"], "administrator at ") {
		t.Errorf("the audit file has\n%s", content)
	}
	facts := regexp.MustCompile(`^no return after 1 of 1 MESSAGEs, the last at \S+Z, its own refresh was due by \S+Z; by [0-9.]+:5060 .*(others got through|OPTIONS was answered) at \S+Z`)
	if len(lines) > 0 && !facts.MatchString(lines[0]["proof"]) {
		t.Errorf("the proof of the sign-out is %q", lines[0]["proof"])
	}
	for _, v := range lines {
		if v["user"] != "sip:alice@ims.example" || v["time"] == "" {
			t.Errorf("audited %v", v)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the audit file has mode %v, %v", info.Mode(), err)
	}
	eventually(t, patience, "the trap's receiver hears of the clear", func() bool { return len(s.traps("2", "watcher-exhausted")) == 1 })
	_, metrics := r.get("/metrics")
	traps, err := os.ReadFile(s.file("traps.log"))
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{"log": r.output(), "metrics": metrics, "webhook": hook.text(), "Alertmanager": told, "traps": string(traps)}
	for what, text := range outputs {
		if what != "metrics" && !strings.Contains(text, name) {
			t.Errorf("the %s: the pseudonym does not stand there, so what was searched is not the flow:\n%s", what, text)
		}
		for line := range strings.Lines(text) {
			if regexp.MustCompile(`(?i)\b(alice|bob|carol)\b`).MatchString(line) {
				t.Errorf("the %s has %s", what, line)
			}
		}
	}
}

// post asks for a change with a token, and gives the status.
func (r *rewatch) post(path, token string) int {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+r.s.ip(30)+":9090"+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
