package recovery

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"rewatch/dialogs/count"
	"rewatch/dialogs/recovery/queue"
	"rewatch/policy/alarm"
	"rewatch/policy/outage"
)

// probeTimeout bounds one OPTIONS.
const probeTimeout = 4 * time.Second

// watch acts upon what has changed, and gives the Paths their time.
func (h *hold) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := h.tick(ctx)
		for h.act(ctx) {
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-timer.C:
		case <-h.wake:
		case <-ctx.Done():
			return
		}
	}
}

// tick has the hops asked that are to be asked, and says when to tick again.
func (h *hold) tick(ctx context.Context) time.Time {
	h.mu.Lock()
	deserted := h.paths.Deserted(time.Now())
	h.mu.Unlock()
	var waiting map[string]int
	if deserted { // else nobody is asked for
		waiting = h.e.worklist.waitingByHop()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	asks, notices := h.paths.Tick(time.Now(), func(hop string) bool { return waiting[hop] > 0 })
	h.take(outage.Proven, notices)
	if deserted {
		queue.Signal(h.released) // one may go ahead
	}
	asks = append(asks, h.asks...)
	h.asks = nil
	for _, hop := range asks {
		h.running.Go(func() { h.ask(ctx, hop) })
	}
	h.next = h.paths.Next()
	return h.next
}

// ask asks a hop with OPTIONS.
func (h *hold) ask(ctx context.Context, hop string) {
	asked := time.Now()
	ok := h.probe(ctx, hop)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.take(outage.Proven, h.paths.Answered(time.Now(), hop, asked, ok))
	if ok && h.paths.Any() {
		queue.Signal(h.released) // some may go ahead
	}
}

func (h *hold) probe(ctx context.Context, hop string) bool {
	addr, err := netip.ParseAddrPort(hop)
	if err != nil || h.cfg.Probe == nil {
		return false
	}
	if h.e.cfg.DryRun.On() {
		h.e.reports.dryly(count.DryProbe)
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ok := h.cfg.Probe(ctx, addr)
	h.e.log.Debug().Str("hop", hop).Bool("ok", ok).Msg("OPTIONS to a next hop")
	return ok
}

// act does what follows from what has changed, and says whether there was anything.
func (h *hold) act(ctx context.Context) bool {
	h.mu.Lock()
	notices := h.notices
	h.notices = nil
	h.mu.Unlock()
	for _, n := range notices {
		switch n.Kind {
		case outage.Began:
			h.holdBegan(n.Record)
		case outage.Ended:
			h.holdEnded(ctx, n)
		case outage.Settled:
			h.settled(n.Hop)
		}
	}
	return len(notices) > 0
}

// holdBegan raises the alarm, excuses those who were struck before it was noticed, and
// lets whoever waits for a verdict wait for the end of the hold.
func (h *hold) holdBegan(r outage.Record) {
	e := h.e
	e.log.Error().Str("hop", objectOf(r.Hop)).Str("reason", string(r.Reason)).Int("watchers", r.Watchers).
		Time("since", r.Since).Msg("outage: recovery is held")
	e.reports.dryly(count.DryAlarm)
	e.alarms.Raise(alarm.Of(alarm.CoreOutage, objectOf(r.Hop), outageText(r), r.At))
	h.mu.Lock()
	doubts := h.doubts[r.Hop]
	delete(h.doubts, r.Hop)
	h.mu.Unlock()
	for _, d := range doubts {
		e.hold.heldToo(d.aor)
	}
	for i := range e.shards {
		e.hold.excuse(&e.shards[i], r)
	}
}

// settling is how long a core that has just come back is given before everybody is told.
const settling = time.Second

// holdEnded clears the alarm and has everybody worked off who waits.
func (h *hold) holdEnded(ctx context.Context, n outage.Notice) {
	h.e.log.Info().Str("hop", objectOf(n.Hop)).Str("reason", string(n.Why)).
		Int64("watchers", h.e.lost.Load()).Msg("outage is over: recovery goes on")
	h.e.alarms.Clear(alarm.CoreOutage, objectOf(n.Hop), n.At)
	h.e.worklist.startWaitsAnew(func(hop string) bool { return h.judgedBy(hop) == n.Hop })
	h.running.Go(func() {
		if queue.SleepUntil(ctx, time.Now().Add(settling)) {
			queue.Signal(h.released)
		}
	})
}

// settled judges those again who wait for a verdict over a hop.
func (h *hold) settled(hop string) {
	var proven, held []string
	h.mu.Lock()
	doubts := h.doubts[hop]
	delete(h.doubts, hop)
	for _, d := range doubts {
		switch v := h.take(h.paths.Judge(time.Now(), d.try)); v {
		case outage.Ask, outage.Wait:
			if h.doubts[hop] = append(h.doubts[hop], d); v == outage.Ask {
				h.asks = append(h.asks, hop)
			}
		case outage.Outage:
			held = append(held, d.aor)
		case outage.Proven, outage.Unproven:
			proven = append(proven, d.aor)
		}
	}
	h.mu.Unlock()
	for _, aor := range held {
		h.heldToo(aor)
	}
	for _, aor := range proven {
		h.e.worklist.blame(aor)
	}
}

// objectOf is what the alarm of a hop is about.
func objectOf(hop string) string {
	if hop == "" {
		return overallObject
	}
	return hop
}

func outageText(r outage.Record) string {
	watchers := fmt.Sprintf("%d watchers", r.Watchers)
	if r.Watchers == 1 {
		watchers = "1 watcher"
	}
	hop := "the next hop " + r.Hop
	if r.Hop == "" {
		hop = "all next hops"
	}
	why := map[outage.Reason]string{
		outage.ReasonUnreachable: ", which cannot be reached",
		outage.ReasonNoAnswer:    ", which does not answer OPTIONS",
		outage.ReasonRatio:       ", and too few others get through",
	}[r.Reason]
	return fmt.Sprintf("NOTIFYs to %s failed over %s%s; nobody is counted, told or signed out until they pass again", watchers, hop, why)
}
