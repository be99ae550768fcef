package transaction

import (
	"sync"
	"time"
)

// Pause detects that the process did not run for a while (it or its machine was stopped), and
// puts deadlines off until the messages that arrived meanwhile have been read: a response that
// waits in a socket came in time.
type Pause struct {
	mu   sync.Mutex
	last Moment // when it was asked last
	// since is when a pause was detected, 0 for none; calm is when the readers of
	// connections have had time to read.
	since, calm Moment
}

const (
	// longestTick is the longest time between two ticks while the process runs.
	longestTick = 4 * Tick
	// readersTurn is the time that the readers of connections get after a pause, longestRead
	// the most that all readers together get.
	readersTurn = 200 * time.Millisecond
	longestRead = 3 * time.Second
)

// Over tells whether deadlines may be checked. waiting tells whether a datagram waits to be
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

// Rested says that Over was not called because there was no deadline to check.
func (p *Pause) Rested(at Moment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = at
}
