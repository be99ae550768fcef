package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// ErrAway says that Redis did not answer a moment ago and was not asked again.
var ErrAway = errors.New("redis is away")

const (
	// patience is how many errors in a row open the circuit.
	patience   = 3
	firstProbe = 100 * time.Millisecond
	lastProbe  = 2 * time.Second
	probeTime  = time.Second
)

// circuit is a circuit breaker: callers do not wait for a Redis that does not answer. It
// opens after some errors in a row. Then one goroutine probes, less and less often, and
// closes the circuit upon the first answer.
type circuit struct {
	probe func(context.Context) error

	mu      sync.Mutex
	errors  int
	last    error         // the error that opened the circuit; nil: it is closed
	shut    chan struct{} // is closed when the circuit closes
	stopped bool

	life    context.Context //nolint:containedctx // Of the goroutine that probes.
	end     context.CancelFunc
	probing sync.WaitGroup
}

func newCircuit(probe func(context.Context) error) *circuit {
	c := &circuit{probe: probe}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// stop ends the probing.
func (c *circuit) stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.end()
	c.probing.Wait()
}

// do calls f, with a deadline, unless the circuit is open.
func (c *circuit) do(ctx context.Context, f func(context.Context) error) error {
	c.mu.Lock()
	away := c.last
	c.mu.Unlock()
	if away != nil {
		return fmt.Errorf("%w: %w", ErrAway, away)
	}
	bounded, cancel := context.WithTimeout(ctx, 2*opTimeout)
	defer cancel()
	err := f(bounded)
	if err == nil || ctx.Err() == nil { // otherwise the caller has given up
		c.note(err)
	}
	return err
}

// note counts an outcome.
func (c *circuit) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.errors = 0
		return
	}
	c.errors++
	if c.errors >= patience && c.last == nil && !c.stopped {
		c.last, c.shut = err, make(chan struct{})
		shut := c.shut
		c.probing.Go(func() { c.keepProbing(shut) })
	}
}

// ask probes now, also if the circuit is open. An answer closes the circuit.
func (c *circuit) ask(ctx context.Context) error {
	err := c.probe(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors = 0
	if c.last != nil {
		c.last = nil
		close(c.shut)
	}
	return nil
}

// keepProbing probes until the circuit is closed.
func (c *circuit) keepProbing(shut <-chan struct{}) {
	for pause := firstProbe; ; pause = min(2*pause, lastProbe) {
		select {
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // Not a secret: replicas should not probe in step.
		case <-shut:
			return
		case <-c.life.Done():
			return
		}
		ctx, cancel := context.WithTimeout(c.life, probeTime)
		_ = c.ask(ctx) // closes the circuit
		cancel()
	}
}
