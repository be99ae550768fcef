package recovery

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs/count"
	"rewatch/dialogs/recovery/queue"
	"rewatch/policy/outage"

	"rewatch/policy/alarm"
)

// watch acts upon the changes, and gives the Detector its time.
func (h *hold) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := h.tick(ctx)
		h.act()
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

// tick sends the probes that are due, and says when to tick again.
func (h *hold) tick(ctx context.Context) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	probes, changes := h.detector.Tick(time.Now())
	h.take(changes)
	for _, p := range probes {
		h.running.Go(func() { h.probe(ctx, p) })
	}
	h.next = h.detector.Next()
	return h.next
}

func (h *hold) probe(ctx context.Context, p outage.Probe) {
	hop, err := netip.ParseAddrPort(p.Hop)
	if err != nil || h.cfg.Probe == nil {
		return
	}
	if h.e.cfg.DryRun {
		h.e.dryly(count.DryProbe)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ok := h.cfg.Probe(ctx, hop)
	h.e.log.Debug().Str("hop", p.Hop).Bool("ok", ok).Msg("OPTIONS to a hop that is held")
	h.mu.Lock()
	defer h.mu.Unlock()
	h.take(h.detector.Probed(time.Now(), p.Scope, ok))
}

// act does what follows from the changes.
func (h *hold) act() {
	h.mu.Lock()
	changes := h.changes
	h.changes = nil
	h.mu.Unlock()
	for _, c := range changes {
		h.tell(c)
		switch {
		case c.From == outage.Closed:
			h.e.outageBegan(c)
		case c.To == outage.Closed:
			h.e.outageEnded(c)
			queue.Signal(h.released)
		}
	}
}

// tell tells the log of a change.
func (h *hold) tell(c outage.Change) {
	level, text := zerolog.InfoLevel, "outage: something got through; held on trial"
	switch {
	case c.From == outage.Closed:
		level, text = zerolog.ErrorLevel, "outage: recovery is held"
	case c.To == outage.Closed:
		text = "outage is over: recovery goes on"
	case c.To == outage.Held:
		text = "outage: the trial failed; held on"
	}
	h.e.log.WithLevel(level).Str("hop", objectOf(c.Scope)).Str("reason", string(c.Reason)).
		Int("failed", c.Failed).Int("of", c.Total).Int("relapses", c.Relapses).
		Int64("watchers", h.e.lost.Load()).Msg(text)
}

// objectOf is what the alarm of a scope is about.
func objectOf(scope string) string {
	if scope == outage.Overall {
		return overallObject
	}
	return scope
}

func outageText(c outage.Change) string {
	if c.Reason == outage.ReasonUnreachable {
		return "the next hop cannot be reached; nobody is counted, told or signed out until it is back"
	}
	return fmt.Sprintf("%d of %d NOTIFYs failed; nobody is counted, told or signed out until they pass again", c.Failed, c.Total)
}

// outageBegan raises the alarm, and excuses those who were struck before it was
// noticed.
func (e *Engine) outageBegan(c outage.Change) {
	e.dryly(count.DryAlarm)
	e.alarms.Raise(alarm.Of(alarm.CoreOutage, objectOf(c.Scope), outageText(c), c.At))
	for i := range e.shards {
		e.excuse(&e.shards[i], c)
	}
}

func (e *Engine) outageEnded(c outage.Change) {
	e.alarms.Clear(alarm.CoreOutage, objectOf(c.Scope), c.At)
}
