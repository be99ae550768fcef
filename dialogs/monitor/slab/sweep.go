package slab

import (
	"sync"
	"time"
)

// A sweep reads records that are not in the caches, and messages wait meanwhile. So it
// pauses for sweepPause after every sweepStretch slots, some 60 us of work.
const (
	sweepStretch = 2048
	sweepPause   = time.Millisecond
)

// Sweep reads all slots of many Slabs, with pauses. The zero Sweep begins with no debt.
type Sweep struct {
	Slots int // read since the last pause
}

// Each calls do for each slot of a Slab that mu protects. It holds the lock for one chunk at a
// time, some microseconds.
func (w *Sweep) Each(mu *sync.Mutex, slots func() uint32, do func(slot uint32)) {
	mu.Lock()
	used := slots()
	mu.Unlock()
	for first := uint32(1); first <= used; first += 1 << ChunkBits {
		mu.Lock()
		for slot := first; slot <= used && slot < first+1<<ChunkBits; slot++ {
			do(slot)
		}
		mu.Unlock()
		if w.Slots += min(1<<ChunkBits, int(used)); w.Slots >= sweepStretch {
			w.Slots = 0
			time.Sleep(sweepPause)
		}
	}
}
