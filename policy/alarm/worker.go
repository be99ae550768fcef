package alarm

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	firstPause = 500 * time.Millisecond
	longestGap = 30 * time.Second
	// perTry bounds one delivery, for a sink that does not answer at all.
	perTry = 10 * time.Second
)

// worker tells one sink, one change after the other.
type worker struct {
	*queue

	sink    Sink
	manager *Manager
	log     zerolog.Logger
	closing chan struct{}
	once    sync.Once
}

func newWorker(s Sink, m *Manager, size int, log zerolog.Logger) *worker {
	return &worker{
		queue: newQueue(size), sink: s, manager: m, closing: make(chan struct{}),
		log: log.With().Str("sink", s.Name()).Logger(),
	}
}

// drain makes run return once the queue is empty.
func (w *worker) drain() { w.once.Do(func() { close(w.closing) }) }

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

// ticks are the times to repeat the active alarms, for a sink that wants it.
func (w *worker) ticks() (<-chan time.Time, func()) {
	r, ok := w.sink.(Refresher)
	if !ok {
		return nil, func() {}
	}
	t := time.NewTicker(r.Interval())
	return t.C, t.Stop
}

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

// deliver tries until the sink has taken the change or will never take it. It
// reports false when ctx ended first.
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
		pause = min(2*pause, longestGap)
	}
}

func (w *worker) try(ctx context.Context, a Alarm) error {
	ctx, cancel := context.WithTimeout(ctx, perTry)
	defer cancel()
	return w.sink.Deliver(ctx, w.manager.shown(a))
}

// jitter spreads the tries of many replicas, so that a receiver that comes back
// is not met by all of them at once.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d) //nolint:gosec // not a secret
}

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
