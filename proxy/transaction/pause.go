package transaction

import (
	"sync"
	"time"
)

// Pause notices that the process did not run for a while (it was stopped, or its machine
// was), and puts deadlines off until what came in meanwhile has been read: a response that
// waits in a socket came in time.
type Pause struct {
	mu   sync.Mutex
	last Moment // when it was asked last
	// since is when a pause was noticed, 0 for none; calm is when the readers of
	// connections have had their turn.
	since, calm Moment
}

const (
	// longestTick is how long a tick may take while the process runs.
	longestTick = 4 * Tick
	// readersTurn is what the readers of connections need after a pause, at least, and
	// longestRead all readers together, at most.
	readersTurn = 200 * time.Millisecond
	longestRead = 3 * time.Second
)

// Over tells whether deadlines may be judged. waiting asks whether something waits to be
// read.
func (p *Pause) Over(at Moment, waiting func() bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	gap := p.last.Until(at)
	if p.last != 0 && gap > longestTick {
		p.calm = at.Add(readersTurn)
		if p.since == 0 {
			p.since = at
		}
	}
	p.last = at
	switch {
	case p.since == 0:
		return true
	case p.since.Until(at) < longestRead && (at < p.calm || waiting()):
		return false
	}
	p.since = 0
	return true
}

// Rested says that nobody asked because there was nothing to judge.
func (p *Pause) Rested(at Moment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = at
}
