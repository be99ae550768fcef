package dialogs

import (
	"slices"
	"time"

	"rewatch/policy"
)

// What the Monitor has to tell the Journal waits in its shards as notes: not what
// has changed but whose. So a subscription waits once however often it changes,
// its value is made when the batch is written, and while the Journal is away the
// notes are bounded by what there is.

// maxGone bounds the keys of a shard that wait to be removed from the Journal. One
// that does not wait is removed there when its time is over.
const maxGone = 1 << 14

// subNotes are those of a subShard, under its lock.
type subNotes struct {
	changed []Ref
	gone    []string
}

// note has a subscription journalled. It is called where one begins, ends, is
// refreshed or dies, not where a NOTIFY passes.
func (m *Monitor) note(sh *subShard, slot uint32) {
	s := sh.subs.at(slot)
	if !m.noting || s.noted || s.phase == requested {
		return
	}
	s.noted = true
	if len(sh.notes.changed) > roomyNotes+2*sh.subs.count() {
		sh.forgetNotes()
	}
	sh.notes.changed = append(sh.notes.changed, makeRef(sh.number, slot, s.generation))
}

// noteLater has a subscription noted when its user is saved, and calls then. After a
// crash the next process takes it that whatever a subscription has been through is known
// of its user, so it is kept from the Journal meanwhile, whatever it was noted for: its
// later was raised when it went through that.
func (m *Monitor) noteLater(s *subscription, ref Ref, then func()) {
	m.rec.WhenSafe(s.watcher(), func() {
		sh := &m.subs[ref.shard()]
		sh.mu.Lock()
		if s, slot := sh.lookup(ref); s != nil {
			s.later--
			m.note(sh, slot)
		}
		sh.mu.Unlock()
		then()
	})
}

func nothing() {}

// roomyNotes is how many notes of a shard are never too many.
const roomyNotes = 1024

// forgetNotes drops the notes of subscriptions that are gone. They gather where many
// come and go while the Journal is away.
func (sh *subShard) forgetNotes() {
	sh.notes.changed = slices.DeleteFunc(sh.notes.changed, func(r Ref) bool {
		s, _ := sh.lookup(r)
		return s == nil
	})
}

// noteGone has it removed, if it was ever written.
func (m *Monitor) noteGone(sh *subShard, s *subscription) {
	switch {
	case !s.kept:
	case len(sh.notes.gone) < maxGone:
		sh.notes.gone = append(sh.notes.gone, s.key())
	default:
		m.metrics.forgotten[forgottenGone].Inc()
	}
}

// noteRegistration has the registration of a user journalled, or its end.
func (m *Monitor) noteRegistration(us *userShard, aor string) {
	if !m.noting {
		return
	}
	if us.notes == nil {
		us.notes = make(map[string]struct{})
	}
	if _, noted := us.notes[aor]; !noted && len(us.notes) >= maxGone+us.users.count() {
		m.metrics.forgotten[forgottenGone].Inc()
		return
	}
	us.notes[aor] = struct{}{}
}

// unwritten is how many notes wait in a shard.
func (m *Monitor) unwritten(shard int) int {
	sh, us := &m.subs[shard], &m.users[shard]
	sh.mu.Lock()
	n := len(sh.notes.changed) + len(sh.notes.gone)
	sh.mu.Unlock()
	us.mu.Lock()
	defer us.mu.Unlock()
	return n + len(us.notes)
}

// doubt is a REGISTER, or the lapse of a registration, as one process sees it.
// Where several share the users, another may have seen more.
type doubt struct {
	aor   string
	at    time.Time
	lapse bool
	// change: as far as this process knows, a period began or ended.
	change bool
}

// maxDoubts bounds those that wait for the Journal.
const maxDoubts = 4096

// knower is the part of an Engine that says of whom it knows anything. To all
// others it makes no difference when they registered.
type knower interface{ Known(aor string) bool }

func (m *Monitor) matters(aor string) bool {
	k, ok := m.rec.(knower)
	return !ok || k.Known(aor)
}

// askRegistered has it found out whether a REGISTER begins a period. It comes
// before the registration is noted: see Keeper.flush.
func (m *Monitor) askRegistered(aor string, at time.Time) {
	if m.doubts != nil && m.matters(aor) {
		m.ask(doubt{aor: aor, at: at, change: !m.User(aor).Registered})
	}
}

// registeredHere tells of a REGISTER where nobody else could know more. Whether or
// not it begins a period, it is a sign of life.
func (m *Monitor) registeredHere(aor string, at time.Time, lapsed, began bool) {
	if (m.doubts != nil || !lapsed && !began) && m.rec.Interested(aor) {
		m.rec.Offer(aor, policy.Event{Kind: policy.Refreshed, At: at})
	}
	if m.doubts != nil {
		return
	}
	if lapsed {
		m.rec.Offer(aor, policy.Event{Kind: policy.Deregistered, At: at})
	}
	if began {
		m.rec.Offer(aor, policy.Event{Kind: policy.Registered, At: at})
	}
}

// lapsed tells that a registration was not refreshed here.
func (m *Monitor) lapsed(aor string, at time.Time) {
	if m.doubts == nil {
		m.rec.Offer(aor, policy.Event{Kind: policy.Deregistered, At: at})
	} else if m.matters(aor) {
		m.ask(doubt{aor: aor, at: at, lapse: true, change: true})
	}
}

// ask hands a doubt to the Keeper, or settles it by what is known here if there are
// too many.
func (m *Monitor) ask(d doubt) {
	select {
	case m.doubts <- d:
		select {
		case m.asked <- struct{}{}:
		default:
		}
	default:
		m.settle(d, !d.change)
	}
}

// settle offers what became of a doubt: whether there was a registration already,
// or is one still.
func (m *Monitor) settle(d doubt, registered bool) {
	switch {
	case registered:
	case d.lapse:
		m.rec.Offer(d.aor, policy.Event{Kind: policy.Deregistered, At: d.at})
	default:
		m.rec.Offer(d.aor, policy.Event{Kind: policy.Registered, At: d.at})
	}
}
