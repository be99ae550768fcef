//go:build integration

package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"rewatch/dialogs/pseudonym"
)

// TestPseudonymsAndAudit: the threshold flow leaves no address of a user in the log, in
// an alarm or in a label; the audit file has one line for the sign-out and one for each
// change by an administrator, in clear text and for its owner only.
func TestPseudonymsAndAudit(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef0123"
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	hook := s.startWebhook()
	file := s.file("audit.log")
	r := s.startRewatch(env{
		"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_ALARM_WEBHOOK": hook.url, "REWATCH_LOG_LEVEL": "debug",
		"REWATCH_LOG_USERS": "pseudonym", "REWATCH_LOG_USERS_KEY": key, "REWATCH_AUDIT": file, "REWATCH_ADMIN_TOKEN": "let-me-in",
	})
	_, carol := established(c, n, "carol", "bob")
	_, d := established(c, n, "alice", "bob")
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(d, patience)
	n.notify(carol, patience)
	name := pseudonym.New(key).Of("sip:alice@ims.example")
	eventually(t, patient, "the alarm is told under the pseudonym", func() bool { return hook.about("watcher-exhausted", name, false) == 1 })
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
	for _, v := range lines {
		if v["user"] != "sip:alice@ims.example" || v["time"] == "" {
			t.Errorf("audited %v", v)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the audit file has mode %v, %v", info.Mode(), err)
	}
	_, metrics := r.get("/metrics")
	for what, text := range map[string]string{"log": r.output(), "metrics": metrics} {
		for _, user := range []string{"alice@", "bob@", "carol@"} {
			for line := range strings.Lines(text) {
				if strings.Contains(line, user) {
					t.Errorf("the %s has %s", what, line)
				}
			}
		}
	}
	if !strings.Contains(r.output(), name) {
		t.Error("the log does not name the pseudonym")
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
