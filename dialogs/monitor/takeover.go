package monitor

import (
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/redelivery/takeover"
	"rewatch/dialogs/store"
)

// collectKept adds an entry by which other replicas know that NOTIFYs are kept for a
// subscription, or removes it.
func (j *source) collectKept(batch []store.Entry, s *subscription, e store.Entry) []store.Entry {
	kept := s.undelivered && s.phase == active
	if j.cfg.Instance == "" || kept == s.keptEntry {
		return batch
	}
	s.keptEntry = kept
	e.Kind, e.Key = store.KindKept, takeover.Key(j.cfg.Instance, e.Key)
	if !kept {
		e.Value = nil
	}
	return append(batch, e)
}

// collectGone removes the entries of a subscription that was removed.
func (j *source) collectGone(batch []store.Entry, key string) []store.Entry {
	batch = append(batch, store.Entry{Kind: store.KindSubscription, Key: key})
	if j.cfg.Instance != "" {
		batch = append(batch, store.Entry{Kind: store.KindKept, Key: takeover.Key(j.cfg.Instance, key)})
	}
	return batch
}

// giveUpLost declares the NOTIFYs failed that an earlier process had kept: their bytes are
// lost, and the phone may not have the newest state. claim says whether no other replica has
// taken a subscription over; nil: none has.
func (m *Monitor) giveUpLost(at time.Time, claim func(key string) bool) {
	for i := range m.subs {
		sh := &m.subs[i]
		var then []func()
		sh.mu.Lock()
		for _, ref := range sh.lost {
			s, slot := sh.lookup(ref)
			if s == nil || !s.undelivered || s.phase != active {
				continue
			}
			if claim != nil && !claim(s.key()) {
				m.parcels.bury(sh, slot)
				continue
			}
			s.undelivered = false
			if _, proven := m.superseded(s); proven || s.over(at.UnixNano()) {
				continue
			}
			o := dialogs.Outcome{Kind: dialogs.TimedOut, At: at, RetryAfter: -1, CSeq: s.notifyCSeq}
			then = append(then, m.giveUp(sh, slot, &o))
		}
		sh.lost = nil
		sh.mu.Unlock()
		for _, f := range then {
			f()
		}
	}
}

// TakeOver declares the NOTIFYs failed that a replica kept which is gone. e is the entry of
// their subscription. Where this process knows the subscription already, the server and the
// phone have used it since, and nothing is done.
func (m *Monitor) TakeOver(e store.Entry) {
	j, now := source{Table: m.Table}, time.Now()
	if j.restoreSubscription(e, false, now) {
		m.giveUpLost(now, nil)
	}
}

// TakenOver ends the subscriptions with kept NOTIFYs that another replica took, because it
// saw no sign of life of this one. The server gets 481 at its next NOTIFY; the phone was
// told by the other replica. taken asks the store, so no lock is held meanwhile.
func (m *Monitor) TakenOver(taken func(key string) bool) {
	for i := range m.subs {
		sh := &m.subs[i]
		for key, ref := range sh.keptEntries() {
			if !taken(key) {
				continue
			}
			sh.mu.Lock()
			if s, slot := sh.lookup(ref); s != nil && s.keptEntry && s.phase == active {
				m.parcels.bury(sh, slot)
			}
			sh.mu.Unlock()
		}
	}
}

// keptEntries are the subscriptions of which the shared Journal has a KindKept entry. What
// is noted may not be written yet.
func (sh *subShard) keptEntries() map[string]dialogs.Ref {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	all := map[string]dialogs.Ref{}
	for slot := uint32(1); slot <= sh.subs.Slots(); slot++ {
		if s := sh.subs.At(slot); s.keptEntry && !s.noted {
			all[s.key()] = sh.ref(slot)
		}
	}
	return all
}

// bury ends the dialog of a subscription without a word to the Engine. The shard is locked.
func (p *parcels) bury(sh *subShard, slot uint32) {
	s := sh.subs.At(slot)
	s.keptEntry = false
	p.undeliver(sh, slot)
	p.exit(s)
	s.phase = dead
	p.note(sh, slot)
}
