package simulate

import (
	"time"

	"rewatch/policy"
)

// refresh of a subscription that the server has deleted is answered 481, upon
// which every client subscribes anew.
func (w *world) refresh(u *user, e event) {
	if u.lost&(1<<e.sub) == 0 || u.gen[e.sub] != e.gen || u.quit || (u.gone|u.away(w.clock.now))&u.device(e.sub) != 0 {
		return
	}
	w.clock.put(w.clock.now+w.dice.within(w.cfg.Clients.Resubscribe), event{who: u.id, kind: renew})
}

// subscribe renews what is lost. A client who gets no answer tries again.
func (w *world) subscribe(s *sidecar, u *user, e event) {
	now := w.clock.now
	here := u.devices() &^ (u.gone | u.away(now))
	if u.lost == 0 || here == 0 {
		return
	}
	if now.time().Before(u.state.BannedUntil) {
		w.clock.put(at(u.state.BannedUntil), event{who: u.id, kind: e.kind})
		return
	}
	switch when, ok := w.net.delivery(w.dice, w.route(u, here), now, policy.TimerF); {
	case ok && when > now:
		w.clock.put(when, e)
		return
	case !ok:
		again := steps(policy.TimerF) + w.dice.within(30*time.Second)
		w.clock.put(now+again, event{who: u.id, kind: e.kind})
		return
	}
	by := policy.ByUnknown
	if e.kind == renew {
		by = policy.ByRefresh
	}
	s.heard(u)
	for sub := range uint8(most) {
		if u.lost&(1<<sub) == 0 || u.device(sub)&here == 0 {
			continue
		}
		w.carry()
		u.lost &^= 1 << sub
		u.unproven |= 1 << sub
		u.gen[sub]++
		s.offer(u, policy.Event{Kind: policy.Subscribed, By: by, Sub: u.lostOne(sub, u.gen[sub])})
		w.clock.put(now+1, event{who: u.id, kind: notify, sub: sub, gen: u.gen[sub]})
	}
}

// register begins a new registration after a user was signed out.
func (w *world) register(s *sidecar, u *user) {
	now := w.clock.now
	if u.dead(now) {
		return
	}
	switch when, ok := w.net.delivery(w.dice, w.route(u, 0), now, policy.TimerF); {
	case ok && when > now:
		w.clock.put(when, event{who: u.id, kind: registers})
		return
	case !ok:
		w.clock.put(now+steps(policy.TimerF)+w.dice.within(30*time.Second), event{who: u.id, kind: registers})
		return
	}
	w.carry()
	kind := policy.Refreshed
	if u.gone == u.devices() {
		kind = policy.Registered
	}
	u.gone, u.quit = u.gone&u.away(now), false
	s.heard(u)
	s.offer(u, policy.Event{Kind: kind})
	w.subscribe(s, u, event{who: u.id, kind: subscribe})
}

// moved: a phone is in another network. It registers there, and subscribes to everything
// anew; its old dialogs are forgotten.
func (w *world) moved(s *sidecar, u *user) {
	if u.dead(w.clock.now) {
		return
	}
	if !u.broken() {
		w.broken++
		w.res.Broken++
		u.since = w.clock.now
	}
	if u.missing != 0 {
		s.forget(u, u.devices())
	}
	for sub := range uint8(w.crowd.subscriptions(u.id)) { //nolint:gosec // most
		u.lost |= 1 << sub
		u.gen[sub]++
	}
	w.register(s, u)
}
