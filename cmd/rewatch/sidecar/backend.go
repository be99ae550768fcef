package sidecar

import (
	"slices"
	"strings"

	"rewatch/cmd/rewatch/admin"
	"rewatch/dialogs/agent"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/audit"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/recovery"
	"rewatch/dialogs/recovery/ladder"
	"rewatch/policy"
)

// backend implements admin.Backend for a process: it shows and changes the process.
type backend struct{ p *process }

var _ admin.Backend = backend{}

func (b backend) Ready() []admin.Condition {
	up, detail := b.p.proxy.ServerUp()
	ready := []admin.Condition{
		{Name: "listeners", OK: true},
		{Name: "server", OK: up, Detail: detail},
	}
	if b.p.namers.FromBelieved() {
		ready = append(ready, admin.Condition{
			Name: "identity", OK: true, Detail: "From names watchers, and a phone can write that of another; see REWATCH_IDENTITY_FROM",
		})
	}
	if b.p.draining.Load() {
		return append(ready, admin.Condition{Name: "draining", Detail: "rewatch is stopping"})
	}
	return ready
}

func (b backend) Watchers(limit int, after, find string) admin.Page {
	items, next := b.p.monitor.Watchers(after, limit, strings.ToLower(find))
	return admin.Page{Items: items, Next: next}
}

func (b backend) Subscriptions(limit int, after string) admin.Page {
	items, next := b.p.monitor.Subscriptions(after, limit)
	return admin.Page{Items: items, Next: next}
}

// watcher is everything about one user.
type watcher struct {
	monitor.WatcherView
	Recovery *recovery.StateView `json:"recovery,omitempty"`
	// Kept are the NOTIFYs that wait to be delivered.
	Kept *ladder.Kept `json:"kept,omitempty"`
}

func (b backend) Watcher(aor string) (any, bool) {
	aor = b.user(aor)
	view, known := b.p.monitor.Watcher(aor)
	w := watcher{WatcherView: view}
	if s, ok := b.p.engine.State(aor); ok {
		w.Recovery, known = &s, true
		w.AOR = aor
	}
	if b.p.postman != nil {
		if n, since := b.p.postman.Waiting(aor); n > 0 {
			w.Kept = &ladder.Kept{NOTIFYs: n, Since: since}
		}
	}
	return w, known
}

func (b backend) Recoveries(limit int, after string) admin.Page {
	all := b.p.engine.Recoveries()
	if after != "" {
		i := slices.IndexFunc(all, func(v ladder.View) bool { return v.ID == after })
		if i < 0 {
			all = nil // it was among the oldest, which go first
		}
		all = all[i+1:]
	}
	if len(all) <= limit {
		return admin.Page{Items: all}
	}
	return admin.Page{Items: all[:limit], Next: all[limit-1].ID}
}

// client is what is known of one family of clients.
type client struct {
	Family        string            `json:"family"`        // as its User-Agent begins; "unknown": not told
	Subscriptions int64             `json:"subscriptions"` // that are active
	Failures      uint64            `json:"failures"`
	Returns       map[string]uint64 `json:"returns"` // by what brought them back
}

func (b backend) Clients() any {
	known, subscribed := b.p.engine.Clients(), b.p.monitor.Clients()
	for family, n := range subscribed {
		if _, failed := known[family]; !failed && n > 0 {
			known[family] = recovery.Client{} // who has not failed is listed as well
		}
	}
	all := make([]client, 0, len(known))
	for _, family := range agent.Families(known) {
		c := client{Family: family, Subscriptions: subscribed[family], Failures: known[family].Failures, Returns: map[string]uint64{}}
		for by := policy.ByMessage; by <= policy.ByItself; by++ {
			c.Returns[by.String()] = known[family].Returns[by]
		}
		all = append(all, c)
	}
	return all
}

func (b backend) Alarms(limit int) any {
	all := b.p.alarms.Active()
	return all[max(0, len(all)-limit):]
}

func (b backend) Reset(aor string) bool { return b.p.engine.Reset(b.user(aor)) }
func (b backend) Unban(aor string) bool { return b.p.engine.Unban(b.user(aor)) }

func (b backend) Audit(actor, action, user, reason, detail string) {
	if user != "" {
		user = b.user(user)
	}
	b.p.audit.Record(audit.Entry{Actor: actor, Action: action, User: user, Reason: reason, Detail: detail})
}

// user gives the canonical address of a user. An administrator may write the address in any spelling,
// and may name any identity of the user.
func (b backend) user(uri string) string {
	if c, ok := aor.Canonical(uri); ok {
		return b.p.monitor.UserNamed(c)
	}
	return uri
}
