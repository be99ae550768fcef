//go:build integration

package integration

import (
	"slices"
	"time"
)

// end lets everybody's story come to its end.
func (w *ward) end(k *killer) {
	w.t.Helper()
	w.note(func() { w.closed = true })
	k.ended(w.settled, func() (users []string) {
		for _, p := range w.all() {
			users = append(users, p.user)
		}
		return users
	})
}

// settled says whether nothing is on its way.
func (w *ward) settled() bool {
	for _, x := range []*exchanges{w.core, w.server} {
		x.mu.Lock()
		open := len(x.open)
		x.mu.Unlock()
		if open > 0 {
			return false
		}
	}
	return true
}

func (w *ward) all() []*casualty {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.admitted)
}

// judge judges every ledger.
func (w *ward) judge(k *killer, window time.Duration) {
	w.t.Helper()
	found := make(faults)
	all, failures, messages := w.all(), 0, 0
	for _, p := range all {
		state := k.stateOf(p.user)
		w.mu.Lock()
		p.judge(state, wardThreshold, found)
		failures, messages = failures+len(p.failures), messages+len(p.messages)
		w.mu.Unlock()
		k.judgeAlarms(p, state, found)
	}
	k.t.Logf("%d kills %v, %d users, %d failures, %d MESSAGEs; %d NOTIFYs were not judged",
		len(k.kills), k.counts, len(all), failures, messages, w.unjudged)
	if w.unjudged > failures/100 {
		w.t.Errorf("%d NOTIFYs had no answer", w.unjudged)
	}
	if n := len(found[skipped]) + len(found[presumed]); n > len(k.kills) {
		w.t.Errorf("%d requests were counted and not sent", n)
	}
	for kind, list := range found {
		longest := time.Duration(0)
		for _, f := range list {
			if !k.allowed(kind, f.at, window) {
				k.t.Errorf("%s: %s\n%s\nkills: %s", kind, f.what, f.p, k.killsAround(f.at))
			}
			longest = max(longest, k.untilKill(f.at))
		}
		switch kind {
		case skipped, presumed:
			k.t.Logf("%s: %d", kind, len(list))
		default:
			k.t.Logf("%s: %d, at most %v before a kill", kind, len(list), longest)
		}
	}
	k.sound()
}

// judgeAlarms: whoever was given up has one alarm, whoever has told of it.
func (k *killer) judgeAlarms(p *casualty, s recoveryState, found faults) {
	ids := make(map[string]bool)
	for _, post := range k.hook.of("watcher-exhausted", p.user, false) {
		ids[post.ID] = true
	}
	if n := len(ids); n > 1 || n == 0 && (len(p.signOuts) > 0 || s.Phase == "exhausted") {
		found.add(alarms, p, s.AlarmAt, "%d", n)
	}
}
