package queue

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"rewatch/dialogs/store"
)

// Cap bounds how many requests begin in any hour. A rate alone would sign out all users slowly,
// in a night in which nobody looks. A nil Cap is no bound.
type Cap struct {
	most int
	// bites is called with true when the cap begins to hold requests up, and with false when
	// it no longer does.
	bites func(bool)

	mu    sync.Mutex
	begun []time.Time // of the last hour, the oldest first
	bit   bool
	noted bool // begun has changed and waits for the Journal
}

// NewCap makes a Cap of so many in an hour; 0 is no bound.
func NewCap(most int, bites func(bool)) *Cap {
	if most <= 0 {
		return nil
	}
	return &Cap{most: most, bites: bites}
}

// take notes that a request begins.
func (c *Cap) take(now time.Time) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = append(c.begun, now)
	c.noted = true
}

// room is how long it takes until one more may begin.
func (c *Cap) room(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.begun) && now.Sub(c.begun[n]) >= time.Hour {
		n++
	}
	c.begun = c.begun[n:]
	if len(c.begun) < c.most {
		return 0
	}
	return time.Hour - now.Sub(c.begun[0])
}

// await waits for room; false if ctx ends before.
func (c *Cap) await(ctx context.Context) bool {
	if c == nil {
		return true
	}
	for {
		after := c.room(time.Now())
		if after <= 0 {
			return true
		}
		c.set(true)
		if !Sleep(ctx, after) {
			return false
		}
	}
}

// biting says whether the cap holds requests up, and in how long it need not any more.
func (c *Cap) biting(now time.Time) (time.Duration, bool) {
	if c == nil {
		return 0, false
	}
	after := c.room(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	return after, c.bit
}

func (c *Cap) set(bit bool) {
	c.mu.Lock()
	changed := c.bit != bit
	c.bit = bit
	c.mu.Unlock()
	if changed {
		c.bites(bit)
	}
}

// signOutsKey is the only key of KindSignOuts.
const signOutsKey = "hour"

// Collect makes the entry for the Journal: how many began in each minute of the last hour.
func (c *Cap) Collect(batch []store.Entry) []store.Entry {
	if c == nil {
		return batch
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.noted || len(c.begun) == 0 {
		return batch
	}
	c.noted = false
	minutes := make(map[int64]int)
	for _, at := range c.begun {
		minutes[at.Unix()/60]++
	}
	last := c.begun[len(c.begun)-1]
	return append(batch, store.Entry{Kind: store.KindSignOuts, Key: signOutsKey}.With(minutes, last.Add(time.Hour+time.Minute)))
}

// Restore takes up what an earlier process has kept, each at the end of its minute; false if the
// entry is none.
func (c *Cap) Restore(entry store.Entry, now time.Time) bool {
	var minutes map[int64]int
	if c == nil || entry.Key != signOutsKey || json.Unmarshal(entry.Value, &minutes) != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for minute := now.Add(-time.Hour).Unix() / 60; minute <= now.Unix()/60; minute++ {
		at := time.Unix(minute*60+59, 0)
		if at.After(now) {
			at = now
		}
		for n := min(minutes[minute], c.most); n > 0 && len(c.begun) < c.most; n-- {
			c.begun = append(c.begun, at)
		}
	}
	return true
}
