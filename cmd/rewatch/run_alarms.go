package main

import (
	"context"
	"time"

	"rewatch/dialogs"
	"rewatch/policy/alarm"
)

// settleTime is how long an alarm of an earlier process has to be raised again.
const settleTime = 2 * time.Minute

// alarmMemory keeps alarms over the end of the process, if anything is kept.
func (p *sidecarProcess) alarmMemory() alarm.Memory {
	if p.memory.journal == nil {
		return nil
	}
	return dialogs.AlarmMemory{Keeper: func() *dialogs.Keeper { return p.keeper }}
}

// recallAlarms takes up the alarms that an earlier process has kept.
func (p *sidecarProcess) recallAlarms(ctx context.Context) error {
	p.settling = time.AfterFunc(settleTime, p.alarms.Settle)
	return dialogs.RecallAlarms(ctx, p.memory.journal, p.alarms)
}
