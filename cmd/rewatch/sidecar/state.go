package sidecar

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"rewatch/cmd/rewatch/config"
	"rewatch/dialogs"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/recovery/alarmlog"
	"rewatch/dialogs/store"
	"rewatch/dialogs/store/bolt"
	"rewatch/dialogs/store/redis"
	"rewatch/policy/alarm"
)

// memory is the store of REWATCH_STATE.
type memory struct {
	store   store.Store
	journal store.Journal // nil: nothing outlives the process
	close   func() error
	lost    lostState
}

// openMemory opens the store of REWATCH_STATE. A file that cannot be opened is an error; a Redis that
// cannot be reached is none, because it may come back.
func openMemory(cfg config.Config) (memory, error) {
	none := memory{store: store.NewMemoryStore(), close: func() error { return nil }}
	path, isFile := strings.CutPrefix(cfg.State.Store, config.StateFile)
	switch {
	case cfg.State.Store == config.StateMemory, cfg.Policy.DryRun:
		return none, nil // what did not happen is not remembered either
	case isFile:
		s, err := bolt.Open(path, bolt.Options{Sync: cfg.State.Sync})
		if err != nil {
			return memory{}, fmt.Errorf("REWATCH_STATE: %w", err)
		}
		m := memory{store: s, journal: s, close: s.Close}
		m.lost.path, m.lost.why = s.Lost()
		return m, nil
	}
	c, err := redis.ParseURL(cfg.State.Store)
	if err != nil {
		return memory{}, fmt.Errorf("REWATCH_STATE: %w", err)
	}
	c.Instance = instanceName(cfg)
	s := redis.New(c)
	return memory{store: s, journal: s, close: s.Close}, nil
}

// shortestSync is how often changes are collected if REWATCH_STATE_SYNC=0s.
const shortestSync = 10 * time.Millisecond

// directory is what the Engine asks about users: the Table alone, or the other replicas as well.
func (m *memory) directory(table *monitor.Table) dialogs.Directory {
	if m.journal != nil && m.store.Shared() {
		return table.Share(m.journal)
	}
	return table
}

// keepMemory makes the Keeper, if REWATCH_STATE is not "memory:".
func (p *process) keepMemory(table *monitor.Table, reg prometheus.Registerer) {
	if p.memory.journal == nil {
		return
	}
	sources := []store.Source{table.Source(), p.engine.Source()}
	if p.registers != nil {
		sources = append(sources, p.registers)
	}
	p.keeper = store.NewKeeper(
		store.KeeperConfig{Every: max(p.cfg.State.Sync, shortestSync), Shared: p.memory.store.Shared()}, p.memory.journal, p.log, sources...)
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_state_pending", Help: "Changes that a crash could still take away, roughly.",
	}, func() float64 { return float64(p.pending()) })
	if s, ok := p.memory.store.(interface{ Unreadable() uint64 }); ok {
		promauto.With(reg).NewCounterFunc(prometheus.CounterOpts{
			Name: "rewatch_state_unreadable_total", Help: "Records of another version of rewatch that were left alone.",
		}, func() float64 { return float64(s.Unreadable()) })
	}
}

// pending is the number of changes that are not written yet. What the Keeper collects waits in the
// store next, so the store is asked last.
func (p *process) pending() int {
	n := p.keeper.Pending() + p.engine.Pending()
	if s, ok := p.memory.store.(interface{ Pending() int }); ok {
		n += s.Pending()
	}
	return n
}

// recall restores what an earlier process has kept, before the first message comes.
func (p *process) recall(ctx context.Context) error {
	if p.keeper != nil {
		if err := p.keeper.Restore(ctx); err != nil {
			return err
		}
		if err := p.recallAlarms(ctx); err != nil {
			// Without them alarms get new ids, which does not prevent a start.
			p.log.Warn().Err(err).Msg("alarms of before could not be read")
		}
		if err := p.recallHosts(ctx); err != nil {
			p.log.Warn().Err(err).Msg("hosts that the server has named before could not be read")
		}
		p.keeper.Start(ctx)
	}
	return p.engine.Start(ctx)
}

// instanceName is the name under which this process finds its subscriptions again after a restart: it is
// made of the host name (the name of the pod), the listeners and the server.
func instanceName(cfg config.Config) string {
	host := cfg.State.Instance
	if host == "" {
		host, _ = os.Hostname()
	}
	h := fnv.New64a()
	for _, l := range cfg.Proxy.Listen {
		_, _ = fmt.Fprintln(h, l)
	}
	_, _ = fmt.Fprintln(h, cfg.Proxy.Server.Raw)
	return host + "-" + strconv.FormatUint(h.Sum64(), 36)
}

// settleTime: an alarm of an earlier process is cleared if it is not raised again in that time.
const settleTime = 2 * time.Minute

// alarmMemory keeps alarms for the next process; nil if nothing outlives the process.
func (p *process) alarmMemory() alarm.Memory {
	if p.memory.journal == nil {
		return nil
	}
	return alarmlog.Memory{Keeper: func() *store.Keeper { return p.keeper }}
}

// recallAlarms restores the alarms that an earlier process has kept.
func (p *process) recallAlarms(ctx context.Context) error {
	p.settling = time.AfterFunc(settleTime, p.alarms.Settle)
	return alarmlog.Recall(ctx, p.memory.journal, p.alarms)
}
