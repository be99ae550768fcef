package recovery

import (
	"fmt"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/audit"
	"rewatch/dialogs/recovery/ladder"
	"rewatch/policy"
)

// Auditor writes down what was done to a user and why. *audit.Log implements it.
type Auditor interface{ Record(audit.Entry) }

// reports tells people what an Engine does: the log, the ladders, the metrics and the audit.
type reports struct{ e *Engine }

// record writes an action against a user into the audit, but not in a dry run.
func (p *reports) record(aor, action string, a policy.Action, proof, detail string) {
	if p.e.cfg.Audit == nil || p.e.cfg.DryRun.On() {
		return
	}
	p.e.cfg.Audit.Record(audit.Entry{
		Actor: audit.Rewatch, Action: action, User: aor, Detail: detail,
		Reason: fmt.Sprintf("given up after %d MESSAGEs%s", a.Attempt, lostOf(a)),
		Proof:  proof,
	})
}

// proof says for the audit why the user is to blame: it did not come back, and the path works.
func (p *reports) proof(aor string, a policy.Action) string {
	told, hop := "", ""
	p.e.with(aor, func(_ *engineShard, u *engineUser) {
		hop = p.e.outages.hopOf(u)
		if at := u.state.Messaged; !at.IsZero() {
			told = ", the last at " + at.UTC().Format(time.RFC3339Nano)
		}
	})
	var due time.Time
	for _, b := range a.Broken {
		if b.Due.After(due) {
			due = b.Due
		}
	}
	refresh := ""
	if !due.IsZero() {
		refresh = ", its own refresh was due by " + due.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("no return after %d of %d MESSAGEs%s%s; %s", a.Attempt, a.Of, told, refresh, p.e.hold.Facts(hop, aor))
}

// recordSignOut writes a sign-out into the audit, and returns which Contact was signed out and
// how. proof is that of before the sign-out.
func (p *reports) recordSignOut(aor string, a policy.Action, proof string, job dialogs.DeregisterJob, res dialogs.Result) string {
	contact := job.Contact
	if contact == "" {
		contact = "all contacts"
	}
	how := fmt.Sprintf("%s by %s: %s", contact, p.e.cfg.means(), responseStep(res))
	p.record(aor, audit.SignOut, a, proof, how)
	return how
}

// recordBan writes a ban into the audit.
func (p *reports) recordBan(aor string, a policy.Action) {
	p.record(aor, audit.Ban, a, p.proof(aor, a), "until "+a.Until.UTC().Format(time.RFC3339))
}

// The parties of a ladder.
const (
	atCore    = "core"
	atRewatch = "rewatch"
	atServer  = "server"
)

// count counts an episode that has ended.
func (p *reports) count(aor string, a policy.Action, ev policy.Event) {
	result := ladder.Endings[a.Kind]
	p.e.metrics.recoveries.WithLabelValues(result).Inc()
	if a.Kind == policy.Recovered {
		p.e.metrics.seconds.Observe(a.Took.Seconds())
	}
	p.about(aor, a).Info().Dur("took_ms", a.Took).Str("reason", reasonOf(ev)).Str("result", result).Msg("recovery ended")
}

// about is the logger for an action about a user.
func (p *reports) about(aor string, a policy.Action) *zerolog.Logger {
	log := p.e.log.With().Str("watcher", aor).Int("attempt", a.Attempt).Logger()
	return &log
}

// logChange logs every change of phase and every failure.
func (p *reports) logChange(aor string, c change) {
	if c.from == c.to && c.event.Kind != policy.NotifyFailed {
		return
	}
	line := p.e.log.Info().Str("watcher", aor).
		Stringer("from", c.from).Stringer("phase", c.to).
		Int("attempt", c.sent).Str("reason", reasonOf(c.event))
	if sub := c.event.Sub; sub.CallID != "" {
		line = line.Str("call_id", sub.CallID).Str("event", sub.Event).Str("resource", sub.Resource)
	}
	line.Msg("recovery")
}

func reasonOf(ev policy.Event) string {
	if ev.Kind == policy.NotifyFailed && ev.Sub.Cause != "" {
		return ev.Sub.Cause
	}
	return ev.Kind.String()
}

// note adds a request of rewatch's own, or its response, to the ladder.
func (p *reports) note(aor, from, to, what string) {
	p.e.ladders.Add(aor, dialogs.Step{At: time.Now(), From: from, To: to, What: what})
}

// noteResult adds the outcome of a request to the ladder.
func (p *reports) noteResult(aor, peer string, res dialogs.Result) {
	switch {
	case res.Status == 0 && res.Err != nil:
		p.note(aor, atRewatch, atRewatch, res.Err.Error())
	case res.Status == 0:
		p.note(aor, atRewatch, atRewatch, dialogs.ErrNoResponse.Error())
	default:
		p.note(aor, peer, atRewatch, responseStep(res))
	}
}

func responseStep(res dialogs.Result) string {
	text := strconv.Itoa(res.Status)
	if res.Reason != "" {
		text += " " + res.Reason
	}
	if res.Err != nil {
		text += " (" + res.Err.Error() + ")"
	}
	return text
}

// dryly says whether this is a dry run, and counts then what would have been done.
func (p *reports) dryly(action string) bool {
	dry := p.e.cfg.DryRun.On()
	if dry {
		p.e.metrics.dryRun.Did(action)
	}
	return dry
}
