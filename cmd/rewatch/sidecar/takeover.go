package sidecar

import (
	"context"

	"rewatch/dialogs/monitor"
	"rewatch/dialogs/redelivery/takeover"
	"rewatch/dialogs/store"
)

// newTakeover has this replica take over what replicas that are gone kept, and let others
// know what it keeps; nil where nothing is kept, or the state is not shared.
func (p *process) newTakeover(cfg *monitor.Config) *takeover.Takeover {
	journal, ok := p.memory.journal.(store.Taker)
	if !ok || p.postman == nil || !p.memory.store.Shared() {
		return nil
	}
	cfg.Instance = instanceName(p.cfg)
	cfg.Claim = func(key string) bool {
		_, found, err := journal.Take(context.Background(), store.KindKept, takeover.Key(cfg.Instance, key))
		return found || err != nil
	}
	return takeover.New(takeover.Config{
		Journal: journal, Instance: cfg.Instance, For: p.cfg.Dialogs.Redeliver, Log: p.log,
		Lost:     func(e store.Entry) { p.monitor.TakeOver(e) },
		Keep:     func(removal ...store.Entry) { p.keeper.Keep(removal...) },
		Returned: func(taken func(key string) bool) { p.monitor.TakenOver(taken) },
	})
}
