package simulate

import "time"

// Post keeps the NOTIFYs that could not be delivered while their subscription goes on.
// The product's is package redelivery; who starts a run joins them (Config.NewPost), for
// policy knows nothing of dialogs.
type Post interface {
	// Keep takes a NOTIFY of full state; false: there is no room.
	Keep(now time.Time, n Notify) bool
	// Next gives an attempt that is due.
	Next(now time.Time) (a Attempt, ok bool)
	// Postpone puts back one that was not sent.
	Postpone(id uint32, until time.Time)
	// Done tells how one went, and gives what the phone has now.
	Done(now time.Time, id uint32, answered bool) []Notify
	// Alive is a sign of life of all devices of a watcher.
	Alive(now time.Time, who uint32)
	Drop(n Notify)
	// Expire gives what was kept for too long.
	Expire(now time.Time) []Notify
	Len() int
}

// Notify is a NOTIFY by its subscription and the dialog of that.
type Notify struct {
	Who      uint32
	Device   uint8 // a bit
	Sub, Gen uint8
}

// Attempt is a NOTIFY that is sent once more.
type Attempt struct {
	Notify

	ID     uint32
	Prompt bool // it has only waited for its turn
}

// keep keeps a NOTIFY, if that is done and there is room.
func (s *sidecar) keep(u *user, sub, gen uint8) bool {
	now := s.w.clock.now
	if s.post == nil || !s.post.Keep(now.time(), u.notify(sub, gen)) {
		return false
	}
	s.w.breaks(u, now)
	u.missing |= 1 << sub
	return true
}

func (u *user) notify(sub, gen uint8) Notify {
	return Notify{Who: u.id, Device: u.device(sub), Sub: sub, Gen: gen}
}

// shut is for how long an attempt is put off whose hop is held.
const shut = 2 * time.Second

// deliver sends what is due, at REWATCH_MESSAGE_RATE.
func (s *sidecar) deliver() {
	if s.post == nil {
		return
	}
	now := s.w.clock.now
	if now%steps(time.Second) == 0 {
		for _, n := range s.post.Expire(now.time()) {
			s.inVain(n)
		}
	}
	for s.post.Len() > 0 && s.deliveries.free() {
		a, ok := s.post.Next(now.time())
		if !ok {
			return
		}
		hop := s.hop(s.w.crowd.record(a.Who))
		if s.paths.Held(hop) && !s.paths.GoAhead(hop) {
			s.post.Postpone(a.ID, now.time().Add(shut))
			continue
		}
		if !a.Prompt {
			s.deliveries.spend(now)
		}
		s.send(a)
	}
}

// send begins an attempt.
func (s *sidecar) send(a Attempt) {
	now, u := s.w.clock.now, s.w.crowd.record(a.Who)
	s.w.carry()
	e := event{who: a.Who, kind: delivered, id: a.ID}
	at, ok := s.w.net.delivery(s.w.dice, s.w.route(u, a.Device), now, s.w.cfg.NotifyTimeout)
	if !ok {
		e.kind, at = undelivered, now+steps(s.w.cfg.NotifyTimeout)
	}
	s.w.clock.put(at, e)
}

// attempted is the end of an attempt.
func (s *sidecar) attempted(u *user, e event) {
	now := s.w.clock.now.time()
	if e.kind == delivered {
		s.heard(u)
	}
	for _, n := range s.post.Done(now, e.id, e.kind == delivered) {
		s.w.res.Delivered++
		u.missing &^= 1 << n.Sub
		s.w.mends(u)
	}
}

// inVain gives a subscription back to the recovery.
func (s *sidecar) inVain(n Notify) {
	u := s.w.crowd.record(n.Who)
	sent := s.w.clock.now - steps(s.w.cfg.NotifyTimeout)
	s.w.failed(s, u, event{who: n.Who, kind: expired, sub: n.Sub, gen: n.Gen, sent: sent, last: true})
	u.missing &^= 1 << n.Sub
	s.w.mends(u) // where it is signed out
}

// forget drops what is kept for subscriptions of a watcher whose phone has begun anew.
func (s *sidecar) forget(u *user, devices uint8) {
	for sub := range uint8(most) {
		if u.missing&(1<<sub) != 0 && u.device(sub)&devices != 0 {
			s.post.Drop(u.notify(sub, u.gen[sub]))
			u.missing &^= 1 << sub
			u.lost |= 1 << sub
		}
	}
}

// breaks notes that a watcher has not what it should have, since a time.
func (w *world) breaks(u *user, since moment) {
	if u.broken() {
		return
	}
	w.broken++
	if w.res.Broken++; u.since == 0 {
		u.since = max(since, 1)
	}
}

// mends notes that it may have all again.
func (w *world) mends(u *user) {
	if u.broken() {
		return
	}
	w.broken--
	w.res.took = append(w.res.took, w.clock.now-u.since)
	u.since = 0
}

// carry counts a request that recovery or redelivery has the core carry.
func (w *world) carry() { w.res.second(w.clock.now).Carried++ }
