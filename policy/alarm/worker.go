package alarm

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// A delivery that failed is tried again after firstPause. Each further pause is twice as
	// long, up to longestPause.
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
	// perTry bounds one try, because a sink may not answer at all.
	perTry = 10 * time.Second
)

// worker delivers the changes of its queue to one sink, one after the other.
type worker struct {
	*queue

	sink    Sink
	manager *Manager
	log     zerolog.Logger
	closing chan struct{} // closed by drain
	once    sync.Once
}

func newWorker(s Sink, m *Manager, log zerolog.Logger) *worker {
	return &worker{
		queue: newQueue(queueSize), sink: s, manager: m, closing: make(chan struct{}),
		log: log.With().Str("sink", s.Name()).Logger(),
	}
}

// drain makes run return when the queue is empty. It may be called more than once.
func (w *worker) drain() { w.once.Do(func() { close(w.closing) }) }

// run delivers changes until ctx ends, or until the queue is empty after drain.
func (w *worker) run(ctx context.Context) {
	refresh, stop := w.ticks()
	defer stop()
	for {
		for c, ok := w.pop(); ok; c, ok = w.pop() {
			if !w.deliver(ctx, c.Alarm) {
				return
			}
			w.manager.told(c)
			select {
			case <-refresh:
				w.refresh(ctx)
			default:
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-refresh:
			w.refresh(ctx)
		case <-w.signal:
		case <-w.closing:
			if w.empty() {
				return
			}
		}
	}
}

func (w *worker) empty() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.items) == 0
}

// ticks gives the times at which the active alarms are sent again, and a function that ends them.
// A sink that is no Refresher gets no ticks.
func (w *worker) ticks() (<-chan time.Time, func()) {
	r, ok := w.sink.(Refresher)
	if !ok {
		return nil, func() {}
	}
	t := time.NewTicker(r.Interval())
	return t.C, t.Stop
}

// refresh sends all active alarms to the sink again. There is no second try, because the next
// tick sends them anyway.
func (w *worker) refresh(ctx context.Context) {
	active := w.manager.Active()
	if len(active) == 0 {
		return
	}
	for i, a := range active {
		active[i] = w.manager.shown(a)
	}
	ctx, cancel := context.WithTimeout(ctx, perTry)
	defer cancel()
	if err := w.sink.(Refresher).Refresh(ctx, active); err != nil {
		w.log.Warn().Err(err).Int("alarms", len(active)).Msg("repeating the active alarms failed")
	}
}

// deliver sends an alarm to the sink until the sink takes it, or refuses it for good (Permanent).
// It returns false if ctx ended before.
func (w *worker) deliver(ctx context.Context, a Alarm) bool {
	pause := firstPause
	for try := 1; ; try++ {
		err := w.try(ctx, a)
		switch {
		case err == nil:
			return true
		case IsPermanent(err):
			w.log.Error().Err(err).Str("alarm", a.Name).Str("id", a.ID).Msg("alarm refused")
			return true
		case ctx.Err() != nil:
			w.log.Warn().Err(err).Str("alarm", a.Name).Str("id", a.ID).Msg("alarm not delivered")
			return false
		}
		if try == 1 {
			w.log.Warn().Err(err).Str("alarm", a.Name).Str("id", a.ID).Msg("alarm not delivered, trying again")
		}
		if !sleep(ctx, jitter(pause)) {
			return false
		}
		pause = min(2*pause, longestPause)
	}
}

// try sends an alarm once.
func (w *worker) try(ctx context.Context, a Alarm) error {
	ctx, cancel := context.WithTimeout(ctx, perTry)
	defer cancel()
	return w.sink.Deliver(ctx, w.manager.shown(a))
}

// jitter gives a random time between half of d and one and a half times d. Many replicas may wait
// for the same receiver, and they should not all send at the same moment when it is back.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d) //nolint:gosec // not a secret
}

// sleep waits for d; false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
