package sidecar

import (
	"context"
	"runtime/debug"

	"rewatch/cmd/rewatch/budget"
)

// limitMemory tells the garbage collector how much memory the process may take, and returns that in
// bytes; 0: there is no limit.
func (p *process) limitMemory() int64 {
	limit := budget.Limit()
	if limit > 0 {
		debug.SetMemoryLimit(limit)
		p.log.Info().Int64("bytes", limit).Msg("memory limit")
	}
	return limit
}

// shareMemory divides the memory under a limit, in bytes, among the tables until ctx ends.
func (p *process) shareMemory(ctx context.Context, limit int64) {
	if limit == 0 {
		return
	}
	parts := budget.Of(p.cfg)
	shared, ok := budget.Shared(parts, limit)
	if !ok {
		p.log.Warn().Int64("bytes", limit).Int64("least", budget.Least(parts)).Msg("the memory limit leaves too little for the tables")
	}
	pool := budget.NewPool(shared,
		&budget.Table{Usage: p.table.Usage, Tighten: p.table.Tight.Store},
		&budget.Table{Usage: p.engine.Usage, Tighten: p.engine.Tight.Store},
		&budget.Table{Usage: p.proxy.Usage, Tighten: p.proxy.Tighten},
	)
	pool.Changed = func(tight bool, used int64) {
		p.log.Warn().Bool("full", tight).Int64("used", used).Int64("shared", shared).Msg("memory of the tables")
	}
	p.watching.Go(func() { pool.Run(ctx) })
}
