package sidecar

import (
	"context"
	"errors"
	"os"
	"time"

	"rewatch/dialogs/recovery/queue"
	"rewatch/policy/alarm"
)

// lostState is a state file that could not be read and was moved aside.
type lostState struct {
	path string // its new name; "" if there is none
	why  error
}

// lostPause is the time between two checks whether that file is still there.
const lostPause = time.Minute

// tellLostState raises the alarm of a state file that could not be read. The alarm is cleared when
// the operator has removed the file, or with the next start.
func (p *process) tellLostState(ctx context.Context) {
	lost := p.memory.lost
	if lost.path == "" {
		return
	}
	p.alarms.Raise(alarm.Alarm{
		Name: alarm.StateLost, Object: lost.path,
		Text: "The state file could not be read and was moved to " + lost.path +
			"; what rewatch knew of users, bans and registrations is forgotten. " + lost.why.Error(),
	})
	p.watching.Go(func() {
		for queue.Sleep(ctx, lostPause) {
			if _, err := os.Lstat(lost.path); errors.Is(err, os.ErrNotExist) {
				p.alarms.Clear(alarm.StateLost, lost.path, time.Now())
				return
			}
		}
	})
}
