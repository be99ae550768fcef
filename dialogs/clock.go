package dialogs

import "time"

// longestSleep is by how much a goroutine may wake up late while the process runs.
const longestSleep = 250 * time.Millisecond

// Overslept tells for how long the process stood still (it was stopped, or its machine was) while
// a goroutine slept from asleep on for the deadline next (the zero time: for none); 0: it did not.
// What peers sent meanwhile was in time, though it has not been read yet, and rewatch could not
// do its own part.
func Overslept(now, asleep, next time.Time) time.Duration {
	late := min(now.Sub(asleep), now.Sub(next))
	if next.IsZero() || late <= longestSleep {
		return 0
	}
	return late
}
