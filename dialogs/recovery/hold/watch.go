package hold

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

// watch acts on what has changed, and calls tick when it is due, until ctx ends.
func (h *Hold) watch(ctx context.Context) {
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

// tick sends OPTIONS to the hops that are to be asked, and says when to tick again.
func (h *Hold) tick(ctx context.Context) time.Time {
	h.mu.Lock()
	deserted := h.paths.Deserted(time.Now())
	h.mu.Unlock()
	var waiting map[string]int
	if deserted { // else it is not needed
		waiting = h.users.Waiting()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	asks, notices := h.paths.Tick(time.Now(), func(hop string) bool { return waiting[hop] > 0 })
	h.take(outage.Proven, notices)
	if deserted {
		h.Release() // one may go ahead
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
func (h *Hold) ask(ctx context.Context, hop string) {
	asked := time.Now()
	ok := h.probe(ctx, hop)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.take(outage.Proven, h.paths.Answered(time.Now(), hop, asked, ok))
	if ok && h.paths.Any() {
		h.Release() // some may go ahead
	}
}

func (h *Hold) probe(ctx context.Context, hop string) bool {
	addr, err := netip.ParseAddrPort(hop)
	if err != nil || h.cfg.Probe == nil {
		return false
	}
	if h.dry(count.DryProbe) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ok := h.cfg.Probe(ctx, addr)
	h.log.Debug().Str("hop", hop).Bool("ok", ok).Msg("OPTIONS to a next hop")
	return ok
}

// act does what follows from the changes, and says whether there were any.
func (h *Hold) act(ctx context.Context) bool {
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

// holdBegan raises the alarm, and tells of those whose failures waited for a verdict.
func (h *Hold) holdBegan(r outage.Record) {
	h.log.Error().Str("hop", ObjectOf(r.Hop)).Str("reason", string(r.Reason)).Int("watchers", r.Watchers).
		Time("since", r.Since).Msg("outage: recovery is held")
	h.dry(count.DryAlarm)
	h.alarms.Raise(alarm.Of(alarm.CoreOutage, ObjectOf(r.Hop), outageText(r), r.At))
	h.mu.Lock()
	doubts := h.undecided[r.Hop]
	delete(h.undecided, r.Hop)
	h.mu.Unlock()
	var doubted []string
	for _, d := range doubts {
		doubted = append(doubted, d.aor)
	}
	h.users.HoldBegan(r, doubted)
}

// settling is the pause between the end of a hold and the first MESSAGE, for the core to recover.
const settling = time.Second

// holdEnded clears the alarm and lets the users go on who wait.
func (h *Hold) holdEnded(ctx context.Context, n outage.Notice) {
	h.log.Info().Str("hop", ObjectOf(n.Hop)).Str("reason", string(n.Why)).
		Int64("watchers", h.users.Lost()).Msg("outage is over: recovery goes on")
	h.alarms.Clear(alarm.CoreOutage, ObjectOf(n.Hop), n.At)
	h.users.HoldEnded(n.Hop)
	h.running.Go(func() {
		if queue.SleepUntil(ctx, time.Now().Add(settling)) {
			h.Release()
		}
	})
}

// settled judges the failures again that wait for a verdict over a hop.
func (h *Hold) settled(hop string) {
	var proven, held []string
	h.mu.Lock()
	doubts := h.undecided[hop]
	delete(h.undecided, hop)
	for _, d := range doubts {
		switch v := h.take(h.paths.Judge(time.Now(), d.try)); v {
		case outage.Ask, outage.Wait:
			if h.undecided[hop] = append(h.undecided[hop], d); v == outage.Ask {
				h.asks = append(h.asks, hop)
			}
		case outage.Outage:
			held = append(held, d.aor)
		case outage.Proven, outage.Unproven:
			proven = append(proven, d.aor)
		}
	}
	h.mu.Unlock()
	h.users.Judged(proven, held)
}

// overall stands for all next hops together.
const overall = "core"

// ObjectOf is the object of the alarm of a hop, and the name of the hop in Holds.
func ObjectOf(hop string) string {
	if hop == "" {
		return overall
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
