package recovery_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/audit"
	"rewatch/dialogs/recovery"
	"rewatch/policy"
)

// auditor keeps what it is told as lines.
type auditor struct{ lines []string }

func (a *auditor) Record(e audit.Entry) {
	a.lines = append(a.lines, fmt.Sprintf("%s %s %s: %s", e.Actor, e.Action, e.User, e.Detail))
	if e.Reason == "" || e.Proof == "" {
		a.lines = append(a.lines, "without a reason or proof")
	}
}

// Each sign-out that was done is one line, a try that failed is none; a ban is one too,
// and a dry run does nothing that could be written down.
func TestAudit(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*recovery.Config)
		want   string
	}{
		"sign-out": {func(*recovery.Config) {}, "rewatch sign-out sip:alice@ims.example: sip:alice@192.0.2.7:5066: 200 OK"},
		"ban": {
			func(c *recovery.Config) { c.Rules.OnThreshold = policy.Ban },
			"rewatch ban sip:alice@ims.example: until 2000-01-01T01:00:30Z\nrewatch sign-out sip:alice@ims.example: sip:alice@192.0.2.7:5066: 200 OK",
		},
		"unsubscribe": {func(c *recovery.Config) { c.Rules.OnThreshold = policy.Unsubscribe }, ""},
		"dry run":     {func(c *recovery.Config) { c.DryRun = dialogs.NewDryRun(true) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			cfg.Rules.Threshold = 1
			c.change(&cfg)
			book := &auditor{}
			cfg.Audit = book
			inBubble(t, cfg, func(r *rig) {
				failed := false
				r.change(func() {
					r.answer = func(request string) dialogs.Result {
						if request == "REGISTER core" && !failed {
							failed = true
							return dialogs.Result{Status: 500, Reason: "Server Internal Error"}
						}
						return dialogs.Result{Status: 200, Reason: "OK"}
					}
				})
				r.offer(policy.NotifyFailed, "bob", "call-1")
				r.at(100 * time.Second)
			})
			if got := strings.Join(book.lines, "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
