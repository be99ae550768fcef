package dialogs

import "time"

// strangers remembers which different watchers a hop that takes nothing has
// failed, no more of them than are needed to tell a core from a phone.
type strangers map[string]map[uint64]time.Time

const (
	maxSilentHops = 1024
	maxStrangers  = 512
)

// add notes one, and says how many there were in the window.
func (s *strangers) add(hop string, who uint64, at time.Time, window time.Duration) int {
	if *s == nil {
		*s = make(strangers)
	}
	seen := (*s)[hop]
	if seen == nil {
		if len(*s) >= maxSilentHops {
			s.sweep(at, window)
		}
		if len(*s) >= maxSilentHops {
			return 1
		}
		seen = make(map[uint64]time.Time)
		(*s)[hop] = seen
	}
	forgetOld(seen, at, window)
	if len(seen) < maxStrangers {
		seen[who] = at
	}
	return len(seen)
}

func (s *strangers) sweep(at time.Time, window time.Duration) {
	for hop, seen := range *s {
		if forgetOld(seen, at, window); len(seen) == 0 {
			delete(*s, hop)
		}
	}
}

func forgetOld(seen map[uint64]time.Time, at time.Time, window time.Duration) {
	for who, last := range seen {
		if at.Sub(last) > window {
			delete(seen, who)
		}
	}
}
