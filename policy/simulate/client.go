package simulate

import (
	"time"

	"rewatch/policy"
)

// refresh of a subscription that the server has deleted is answered 481, upon
// which every client subscribes anew.
func (w *world) refresh(u *user, e event) {
	if u.lost&(1<<e.sub) == 0 || u.gen[e.sub] != e.gen || u.gone || u.dead(w.clock.now) {
		return
	}
	w.clock.put(w.clock.now+w.dice.within(w.cfg.Clients.Resubscribe), event{who: u.id, kind: subscribe})
}

// subscribe renews what is lost. A client who gets no answer tries again.
func (w *world) subscribe(s *sidecar, u *user) {
	now := w.clock.now
	if u.lost == 0 || u.gone || u.dead(now) {
		return
	}
	if now.time().Before(u.state.BannedUntil) {
		w.clock.put(at(u.state.BannedUntil), event{who: u.id, kind: subscribe})
		return
	}
	if _, ok := w.net.delivery(w.dice, w.route(u), now, policy.TimerF); !ok {
		again := steps(policy.TimerF) + w.dice.within(30*time.Second)
		w.clock.put(now+again, event{who: u.id, kind: subscribe})
		return
	}
	s.heard(u)
	for sub := range uint8(most) {
		if u.lost&(1<<sub) == 0 {
			continue
		}
		u.lost &^= 1 << sub
		u.unproven |= 1 << sub
		u.gen[sub]++
		s.offer(u, policy.Event{Kind: policy.Subscribed, Sub: broken(sub, u.gen[sub])})
		w.clock.put(now+1, event{who: u.id, kind: notify, sub: sub, gen: u.gen[sub]})
	}
}

// register begins a new registration after a user was signed out.
func (w *world) register(s *sidecar, u *user) {
	now := w.clock.now
	if u.dead(now) {
		return
	}
	if _, ok := w.net.delivery(w.dice, w.route(u), now, policy.TimerF); !ok {
		w.clock.put(now+steps(policy.TimerF)+w.dice.within(30*time.Second), event{who: u.id, kind: registers})
		return
	}
	u.gone = false
	s.heard(u)
	s.offer(u, policy.Event{Kind: policy.Registered})
	w.subscribe(s, u)
}
