package simulate

import (
	"context"
	"time"
)

// world is one run.
type world struct {
	cfg      Config
	clock    *calendar
	dice     dice
	net      *network
	crowd    *crowd
	sidecars []*sidecar
	bulk     map[moment][]batch
	res      *Result
	broken   int // watchers without a subscription, now
}

// batch is NOTIFYs to the healthy that get through late.
type batch struct{ hop, replica, n int }

// Run runs a simulation to its end, or until ctx ends.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	w := &world{
		cfg: cfg, clock: newCalendar(steps(cfg.Duration)), dice: newDice(cfg.Seed),
		net: newNetwork(cfg.Trouble), crowd: newCrowd(cfg),
		bulk: make(map[moment][]batch), res: &Result{Config: cfg},
	}
	for i := range cfg.Replicas {
		w.sidecars = append(w.sidecars, newSidecar(w, i))
	}
	w.sentence()
	rate := w.notifiesPerStep()
	for end := steps(cfg.Duration); w.clock.now < end; w.clock.now++ {
		if w.clock.now%steps(time.Minute) == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		w.pass(rate)
	}
	held := make([]moment, 0, len(w.sidecars))
	for _, s := range w.sidecars {
		held = append(held, s.held)
	}
	w.res.finish(held)
	w.res.Strikes = w.crowd.struck()
	return w.res, nil
}

// pass lets one step pass.
func (w *world) pass(rate float64) {
	now := w.clock.now
	for _, s := range w.sidecars {
		s.judge()
	}
	for _, b := range w.bulk[now] {
		w.sidecars[b.replica].gotThrough(b.hop, b.n)
	}
	delete(w.bulk, now)
	today := w.clock.take()
	// In a step everything happens at once, so nothing follows from the order.
	w.dice.Shuffle(len(today), func(i, j int) { today[i], today[j] = today[j], today[i] })
	for _, e := range today {
		w.happen(e)
	}
	for _, s := range w.sidecars {
		for hop := range w.cfg.Hops {
			w.notifyMany(s, hop, rate)
		}
	}
	second := w.res.second(now)
	second.Held = 0
	for _, s := range w.sidecars {
		s.work()
		if s.paths.Any() {
			s.held++
			second.Held++
		}
	}
	second.Broken = w.broken
}

// notifiesPerStep is the mean number of NOTIFYs in a step over one hop of one replica.
func (w *world) notifiesPerStep() float64 {
	all := float64(w.cfg.Watchers) * w.crowd.mean() * float64(step) / float64(w.cfg.Clients.NotifyEvery)
	return all / float64(w.cfg.Hops*w.cfg.Replicas)
}

// notifyMany sends the NOTIFYs of a step to the healthy. Those that fail find the
// watchers whose trouble begins.
func (w *world) notifyMany(s *sidecar, hop int, mean float64) {
	now := w.clock.now
	if since := time.Duration(now)*step - w.cfg.Trouble.Start; since >= 0 && since < w.cfg.Trouble.Reregister {
		// Every subscription gets one NOTIFY more, spread over that time.
		mean += mean * float64(w.cfg.Clients.NotifyEvery) / float64(w.cfg.Trouble.Reregister)
	}
	lost := w.net.allLost(now, w.cfg.NotifyTimeout)
	fail := w.dice.poisson(mean * lost)
	pass := w.dice.poisson(mean * (1 - lost))
	switch first, ok := w.net.firstUp(hop, now, w.cfg.NotifyTimeout); {
	case !ok:
		fail, pass = fail+pass, 0
	case first > now:
		w.bulk[first] = append(w.bulk[first], batch{hop, s.number, pass})
		pass = 0
	}
	if pass > 0 {
		s.gotThrough(hop, pass)
	}
	for range fail {
		w.lose(s, hop)
	}
}

// lose lets the NOTIFY of one subscription fail, unless there is none any more.
func (w *world) lose(s *sidecar, hop int) {
	who, sub, ok := w.crowd.pick(w.dice, hop, s.number)
	if !ok {
		return
	}
	u := w.crowd.record(who)
	if u.lost&(1<<sub) != 0 || u.gone&u.device(sub) != 0 {
		return
	}
	if u.missing&(1<<sub) != 0 && s.keep(u, sub, u.gen[sub]) {
		return // it takes the place of the one before
	}
	w.clock.put(w.clock.now+steps(w.cfg.NotifyTimeout), event{
		who: who, kind: expired, sub: sub, gen: u.gen[sub], sent: w.clock.now,
	})
}

// healthy draws a watcher behind a hop and a replica who gets its NOTIFYs.
func (w *world) healthy(hop, replica int) (uint32, bool) {
	for range 20 {
		who, sub, ok := w.crowd.pick(w.dice, hop, replica)
		if !ok {
			return 0, false
		}
		if w.crowd.index[who] == 0 {
			return who, true
		}
		if u := w.crowd.record(who); (u.lost|u.missing)&(1<<sub) == 0 && (u.gone|u.away(w.clock.now))&u.device(sub) == 0 {
			return who, true
		}
	}
	return 0, false
}

// sentence decides which phones are switched off, and when.
func (w *world) sentence() {
	t := w.cfg.Trouble
	if t.Dead == 0 && t.Moves == 0 {
		return
	}
	for who := range uint32(w.cfg.Watchers) { //nolint:gosec // mostWatchers
		if trait(w.cfg.Seed, who, saltDead) < t.Dead {
			at := steps(t.Start) + moment(trait(w.cfg.Seed, who, saltDeath)*float64(steps(time.Hour)))
			w.clock.put(at, event{who: who, kind: dies})
		}
		if trait(w.cfg.Seed, who, saltMove) < t.Moves {
			at := steps(t.Start) + moment(trait(w.cfg.Seed, who, saltMoved)*float64(steps(time.Hour)))
			w.clock.put(at, event{who: who, kind: moves})
		}
	}
}
