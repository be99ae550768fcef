package simulate

import (
	"time"

	"rewatch/policy"
	"rewatch/policy/outage"
)

// happen carries out one event.
func (w *world) happen(e event) {
	u := w.crowd.record(e.who)
	s := w.sidecars[w.crowd.replica(e.who)]
	now := w.clock.now
	switch e.kind {
	case tick:
		s.tick(u)
	case unfrozen:
		s.thaw(u)
	case notify:
		w.notify(u, e.sub, e.gen)
	case passed:
		w.proven(s, u, e)
	case expired:
		w.failed(s, u, e)
	case refresh:
		w.refresh(u, e)
	case subscribe, renew:
		w.subscribe(s, u, e)
	case told, untold:
		w.answered(s, u, e)
	case heard:
		w.told(u)
	case signedOut:
		w.signedOut(s, u)
	case unanswered:
		s.prove(u, e.sent, true)
		u.signing = false
		s.offer(u, policy.Event{Kind: policy.DeregisterFailed})
	case dies:
		w.die(u)
	case moves:
		if u.away(now) == 0 {
			u.moving = true
			w.die(u)
		}
	case moved:
		w.moved(s, u)
	case revives:
		w.revive(u)
	case registers:
		w.register(s, u)
	case delivered, undelivered:
		s.attempted(u, e)
	}
}

// answered: a MESSAGE has its final response, or has none.
func (w *world) answered(s *sidecar, u *user, e event) {
	proven := true
	if e.kind == told {
		s.heard(u)
	} else {
		proven = s.prove(u, e.sent, true) == outage.Proven
	}
	u.messaging, u.ahead = false, false
	s.offer(u, policy.Event{
		Kind: policy.MessageDone, Episode: u.state.Episode, Try: u.state.Tries,
		Undelivered: e.kind == untold, Stumbled: e.kind == untold, Unproven: !proven,
	})
}

// hop is the hop that a user is behind now.
func (w *world) hop(u *user) int { return (w.crowd.hop(u.id) + int(u.moves)) % w.cfg.Hops }

// route is the way to one of a user's devices, or to any of them (0).
func (w *world) route(u *user, device uint8) route {
	r := route{hop: w.hop(u)}
	if device == 0 && u.down == u.devices() || u.down&device != 0 {
		r.off, r.onset = u.off, u.onset
	}
	return r
}

// notify sends the first NOTIFY of a new subscription, or one to a dead phone.
func (w *world) notify(u *user, sub, gen uint8) {
	if u.lost&(1<<sub) != 0 || u.gen[sub] != gen {
		return
	}
	w.carry()
	now := w.clock.now
	e := event{who: u.id, kind: passed, sub: sub, gen: gen, sent: now}
	at, ok := w.net.delivery(w.dice, w.route(u, u.device(sub)), now, w.cfg.NotifyTimeout)
	if !ok {
		e.kind = expired
		at = now + steps(w.cfg.NotifyTimeout)
	}
	w.clock.put(at, e)
}

// proven: a NOTIFY of one subscription got through.
func (w *world) proven(s *sidecar, u *user, e event) {
	s.heard(u)
	if u.gen[e.sub] != e.gen {
		return
	}
	if was := u.broken(); was {
		u.unproven &^= 1 << e.sub
		w.mends(u)
	}
	s.offer(u, policy.Event{Kind: policy.NotifyOK, Sub: u.lostOne(e.sub, e.gen)})
}

// failed: the deadline of a NOTIFY has passed. The server gets 481 and deletes
// the subscription; the client, who knows nothing, will refresh it some time.
func (w *world) failed(s *sidecar, u *user, e event) {
	verdict := s.prove(u, e.sent, false)
	if u.lost&(1<<e.sub) != 0 || u.gen[e.sub] != e.gen || u.gone&u.device(e.sub) != 0 || !e.last && s.keep(u, e.sub, e.gen) {
		return
	}
	w.breaks(u, e.sent)
	w.res.Lost++
	u.lost |= 1 << e.sub
	u.unproven &^= 1 << e.sub
	e.kind = refresh
	next := w.clock.now + w.dice.within(w.cfg.Clients.Refresh)
	w.clock.put(next, e)
	u.due = max(u.due, next+steps(w.cfg.Clients.Refresh/9+policy.TimerF)) // it refreshes at 90 %
	if verdict == outage.Outage || verdict == outage.Wait {
		s.note(u)
		return
	}
	s.recent = append(s.recent, blame{u, w.clock.now})
	s.offer(u, policy.Event{Kind: policy.NotifyFailed, Sub: u.lostOne(e.sub, e.gen)})
}

// told: a client has heard that it is to subscribe anew, by MESSAGE or by NOTIFY.
func (w *world) told(u *user) {
	after := w.dice.within(w.cfg.Clients.Resubscribe)
	switch {
	case u.kind == Obeys:
	case u.kind == Deaf && w.cfg.SignalNotify:
		after = steps(5 * time.Second)
	default:
		u.quit = u.quit || u.kind == Lost && w.cfg.SignalNotify
		return
	}
	w.clock.put(w.clock.now+after, event{who: u.id, kind: subscribe})
}

// signedOut: the core has taken the registration of some devices away. A phone that is
// alive notices when it would have registered again.
func (w *world) signedOut(s *sidecar, u *user) {
	u.signing = false
	u.gone |= u.parting
	s.offer(u, policy.Event{Kind: policy.DeregisterDone, Others: u.gone != u.devices()})
	now := w.clock.now
	if u.parting&^u.away(now) == 0 {
		return
	}
	if u.parting&u.down == 0 || now >= u.onset+steps(warmUp) {
		w.res.Wrong++
		w.res.WrongBy[u.kind]++
	}
	w.clock.put(now+w.dice.within(w.cfg.Clients.Registration), event{who: u.id, kind: registers})
}

// warmUp is how long a phone takes until it has subscribed after it was switched
// on. Nobody can know of it before.
const warmUp = 10 * time.Second

// die switches a phone off. From then on each of its subscriptions meets silence
// at its next NOTIFY.
func (w *world) die(u *user) {
	u.off, u.down = w.clock.now, u.devices()
	u.onset = u.off + steps(w.cfg.Trouble.DeadFor)
	if u.moving {
		u.onset = u.off + steps(w.cfg.Trouble.MoveFor)
	} else if u.twin {
		u.down = 2
	}
	w.clock.put(u.onset, event{who: u.id, kind: revives})
	for sub := range uint8(w.crowd.subscriptions(u.id)) { //nolint:gosec // most
		if u.down&u.device(sub) == 0 {
			continue
		}
		at := u.off + w.dice.exp(w.cfg.Clients.NotifyEvery)
		if at < u.onset {
			w.clock.put(at, event{who: u.id, kind: notify, sub: sub, gen: u.gen[sub]})
		}
	}
}

// revive switches it on again. It registers and subscribes anew, as phones do.
func (w *world) revive(u *user) {
	if u.broken() {
		u.since = w.clock.now
	}
	if u.missing != 0 {
		w.sidecars[w.crowd.replica(u.id)].forget(u, u.down)
	}
	kind := subscribe
	if u.gone != 0 {
		kind = registers
	}
	if u.moving {
		u.moving = false
		u.moves++
		kind = moved
	}
	w.clock.put(w.clock.now+w.dice.within(warmUp), event{who: u.id, kind: kind})
}
