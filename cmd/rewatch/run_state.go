package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs"
	"rewatch/dialogs/boltstore"
	"rewatch/dialogs/redisstore"
)

// The forms of REWATCH_STATE, besides the URLs of Redis.
const (
	stateMemory = "memory:"
	stateFile   = "file:"

	wantState = "memory:, file:PATH, or one of " + redisstore.Forms
)

// memory is what outlives the process, as far as REWATCH_STATE has it outlive.
type memory struct {
	store   dialogs.Store
	journal dialogs.Journal // nil: nothing outlives
	close   func() error
}

// openMemory opens what REWATCH_STATE names. A Redis need not be there yet; a file
// has to be, for nobody else will bring it.
func openMemory(cfg Config) (memory, error) {
	none := memory{store: dialogs.NewMemoryStore(), close: func() error { return nil }}
	path, isFile := strings.CutPrefix(cfg.State.Store, stateFile)
	switch {
	case cfg.State.Store == stateMemory, cfg.Policy.DryRun:
		return none, nil // what did not happen is not remembered either
	case isFile:
		s, err := boltstore.Open(path, boltstore.Options{Sync: cfg.State.Sync})
		if err != nil {
			return memory{}, fmt.Errorf("REWATCH_STATE: %w", err)
		}
		return memory{s, s, s.Close}, nil
	}
	c, err := redisstore.ParseURL(cfg.State.Store)
	if err != nil {
		return memory{}, fmt.Errorf("REWATCH_STATE: %w", err)
	}
	c.Instance = instanceName(cfg)
	s := redisstore.New(c)
	return memory{s, s, s.Close}, nil
}

// careful says whether nothing that a neighbour was told may be lost. One who would
// have it so has a state file, and every change wait for its commit.
func careful(cfg Config) bool {
	return cfg.State.Sync == 0 && strings.HasPrefix(cfg.State.Store, stateFile) && !cfg.Policy.DryRun
}

// shortestSync is how often it is looked what the Monitor has learnt, where every
// change of a recovery waits for its commit.
const shortestSync = 10 * time.Millisecond

// keepMemory has a Keeper keep what the Monitor learns, if it is to outlive us.
func (p *sidecarProcess) keepMemory(reg prometheus.Registerer) {
	if p.memory.journal == nil {
		return
	}
	_, shared := p.memory.store.(dialogs.Shared)
	p.keeper = dialogs.NewKeeper(
		dialogs.KeeperConfig{Every: max(p.cfg.State.Sync, shortestSync), Shared: shared}, p.memory.journal, p.log, p.monitor, p.engine)
	p.engine.SetDirectory(p.monitor.Directory())
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_state_pending", Help: "Changes that a crash could still take away, roughly.",
	}, func() float64 { return float64(p.pending()) }))
}

// pending is how much is known and not kept for good yet. What is collected here waits
// for its commit there, so that comes last.
func (p *sidecarProcess) pending() int {
	n := p.keeper.Pending() + p.engine.Pending()
	if s, ok := p.memory.store.(interface{ Pending() int }); ok {
		n += s.Pending()
	}
	return n
}

// recall takes up what an earlier process has left, before the first message comes.
func (p *sidecarProcess) recall(ctx context.Context) error {
	if p.keeper != nil {
		if err := p.keeper.Restore(ctx); err != nil {
			return err
		}
		if err := p.recallAlarms(ctx); err != nil {
			// That they have new ids is no reason not to serve.
			p.log.Warn().Err(err).Msg("alarms of before could not be read")
		}
		p.keeper.Start(ctx)
	}
	return p.engine.Start(ctx)
}

// instanceName is the same for a process that is started again in the same place:
// the name of the pod (its host name), what it listens on and the server behind it.
func instanceName(cfg Config) string {
	host, _ := os.Hostname()
	h := fnv.New64a()
	for _, l := range cfg.Proxy.Listen {
		_, _ = fmt.Fprintln(h, l)
	}
	_, _ = fmt.Fprintln(h, cfg.Proxy.Server.Raw)
	return host + "-" + strconv.FormatUint(h.Sum64(), 36)
}

func checkState(in *inspection, c *Config) {
	const name = "REWATCH_STATE"
	path, isFile := strings.CutPrefix(c.State.Store, stateFile)
	switch {
	case c.State.Store == stateMemory:
	case isFile && path == "":
		in.reject(name, "a path after file:, such as file:/var/lib/rewatch/state.db")
	case isFile:
	default:
		if _, err := redisstore.ParseURL(c.State.Store); err != nil {
			in.reject(name, wantState+" ("+withoutUserinfo(err.Error())+")")
		}
	}
	if c.State.Sync < 0 || c.State.Sync > time.Minute {
		in.reject("REWATCH_STATE_SYNC", "a duration such as 100ms, at most 1m; 0s waits for every commit")
	}
}

// memoryTime is how long a Redis may take to answer "rewatch check".
const memoryTime = 3 * time.Second

// stateFinding looks whether what REWATCH_STATE names is there and sound.
func stateFinding(ctx context.Context, cfg Config) finding {
	const variable = "REWATCH_STATE"
	shown := withoutUserinfo(cfg.State.Store)
	path, isFile := strings.CutPrefix(cfg.State.Store, stateFile)
	var err error
	switch {
	case cfg.State.Store == stateMemory:
		return finding{true, variable, shown + " ends with the process"}
	case isFile:
		if err = checkFile(path); errors.Is(err, boltstore.ErrInUse) {
			return finding{true, variable, shown + " is in use by another process, perhaps a rewatch that runs"}
		}
	default:
		err = pingRedis(ctx, cfg)
	}
	if err != nil {
		return finding{false, variable, shown + ": " + err.Error()}
	}
	return finding{true, variable, shown + " is there"}
}

// checkFile looks at a state file, or at where it would be made.
func checkFile(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return boltstore.Check(path)
	}
	info, err := os.Stat(filepath.Dir(path))
	if err == nil && !info.IsDir() {
		err = errors.New("no directory")
	}
	if err != nil {
		return fmt.Errorf("%s: %s", filepath.Dir(path), cause(err))
	}
	return nil
}

func pingRedis(ctx context.Context, cfg Config) error {
	c, err := redisstore.ParseURL(cfg.State.Store)
	if err != nil {
		return err
	}
	s := redisstore.New(c)
	ctx, cancel := context.WithTimeout(ctx, memoryTime)
	defer cancel()
	return errors.Join(s.Ping(ctx), s.Close())
}
