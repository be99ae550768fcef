package recovery

import (
	"fmt"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/audit"
	"rewatch/policy"
)

// Auditor writes down what was done to a user and why; *audit.Log does.
type Auditor interface{ Record(audit.Entry) }

// record writes down an action of rewatch's own about a user. A dry run does nothing.
func (e *Engine) record(aor, action string, a policy.Action, detail string) {
	if e.cfg.Audit == nil || e.cfg.DryRun.On() {
		return
	}
	e.cfg.Audit.Record(audit.Entry{
		Actor: audit.Rewatch, Action: action, User: aor, Detail: detail,
		Reason: fmt.Sprintf("given up after %d MESSAGEs%s", a.Attempt, lostOf(a)),
		Proof: fmt.Sprintf("no return after %d of %d MESSAGEs, while others got through by the same hop",
			a.Attempt, a.Of),
	})
}

// recordSignOut writes down that a user was signed out, of what, and how.
func (e *Engine) recordSignOut(aor string, a policy.Action, job dialogs.DeregisterJob, res dialogs.Result) {
	contact := job.Contact
	if contact == "" {
		contact = "all contacts"
	}
	e.record(aor, audit.SignOut, a, contact+": "+responseStep(res))
}

// recordBan writes down that a user is refused.
func (e *Engine) recordBan(aor string, a policy.Action) {
	e.record(aor, audit.Ban, a, "until "+a.Until.UTC().Format(time.RFC3339))
}
