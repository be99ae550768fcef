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

// reports has the audit told of what an Engine does to users.
type reports struct{ e *Engine }

// record writes down an action of rewatch's own about a user. A dry run does nothing.
func (p *reports) record(aor, action string, a policy.Action, detail string) {
	if p.e.cfg.Audit == nil || p.e.cfg.DryRun.On() {
		return
	}
	p.e.cfg.Audit.Record(audit.Entry{
		Actor: audit.Rewatch, Action: action, User: aor, Detail: detail,
		Reason: fmt.Sprintf("given up after %d MESSAGEs%s", a.Attempt, lostOf(a)),
		Proof: fmt.Sprintf("no return after %d of %d MESSAGEs, while others got through by the same hop",
			a.Attempt, a.Of),
	})
}

// recordSignOut writes down that a user was signed out, of what, and how.
func (p *reports) recordSignOut(aor string, a policy.Action, job dialogs.DeregisterJob, res dialogs.Result) {
	contact := job.Contact
	if contact == "" {
		contact = "all contacts"
	}
	p.record(aor, audit.SignOut, a, contact+": "+responseStep(res))
}

// recordBan writes down that a user is refused.
func (p *reports) recordBan(aor string, a policy.Action) {
	p.record(aor, audit.Ban, a, "until "+a.Until.UTC().Format(time.RFC3339))
}
