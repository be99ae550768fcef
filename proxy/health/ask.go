package health

import (
	"context"
	"fmt"
	"sync"
	"time"

	"rewatch/proxy/resolve"
)

// ask sends OPTIONS by every way to the server at once. The server is there if one of them
// brings an answer.
func (h *Health) ask(ctx context.Context) {
	ways := h.ways()
	if len(ways) == 0 {
		h.missing(h.cfg.Ping(nil))
		return
	}
	asking, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	errs := make([]error, len(ways))
	var all sync.WaitGroup
	for i, way := range ways {
		way.Either = false // by this transport alone
		all.Go(func() {
			if errs[i] = h.cfg.Probe(asking, way); errs[i] == nil {
				h.Seen(time.Now())
			}
		})
	}
	all.Wait()
	open := map[resolve.Way]bool{}
	for i, way := range ways {
		if errs[i] == nil {
			open[way.Way()] = true
		}
	}
	switch {
	case len(open) > 0:
		h.avoid(open)
	case ctx.Err() == nil:
		h.missing(errs[0])
	}
}

// missing notes that OPTIONS got no answer by any way.
func (h *Health) missing(err error) {
	h.mu.Lock()
	if h.lastSeen.Load() > h.missed.UnixNano() {
		h.unanswered = 0
	}
	h.missed, h.mute = time.Now(), time.Time{}
	h.unanswered++
	gone := h.unanswered >= probeLimit
	h.mu.Unlock()
	if gone {
		h.change(false, true, fmt.Sprintf("no answer to requests, nor to OPTIONS: %v", err))
	}
}

// avoid tells of the hops that were silent while another way was open.
func (h *Health) avoid(open map[resolve.Way]bool) {
	var mute time.Time
	for _, hop := range h.cfg.Hops() {
		if open[hop.Way()] {
			continue
		}
		mute = time.Now()
		if other, ok := hop.Otherwise(); h.cfg.Silent != nil {
			h.cfg.Silent(hop, ok && open[other.Way()])
		}
	}
	h.mu.Lock()
	h.mute = mute
	h.mu.Unlock()
}
