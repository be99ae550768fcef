package outage

import "slices"

// several is how many watchers have to fail for a suspicion.
const several = 3

// streak are the watchers that failed since anything got through, no more of them
// than are needed to call them several.
type streak struct {
	who [several]uint64
	n   int
}

func (s *streak) add(watcher uint64) {
	if s.n < several && !slices.Contains(s.who[:s.n], watcher) {
		s.who[s.n] = watcher
		s.n++
	}
}

func (s *streak) several() bool { return s.n == several }
