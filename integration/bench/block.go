package main

import (
	"context"
	"fmt"
	"time"

	"rewatch/integration/load"
)

// point is one phase of load: what was asked, what came of it, what it cost.
type point struct {
	asked    float64 // 0: a closed loop
	rate     float64
	cpu      time.Duration // for each transaction
	p50, p99 time.Duration
	p999     time.Duration
	counts   load.Counts
	drops    int // at the generator itself
}

// figures are those of one kind of work in one block.
type figures struct {
	moderate, saturated point
	varied              point // saturated, with lengths that differ
	steps               []point
	best                float64 // highest rate without loss
}

// block is one system over one transport in one round.
type block struct {
	round   int
	system  string
	network string
	works   map[load.Kind]*figures
	memory  int64
	notes   []string
}

// rig is a block under way: the generator and the system beside it.
type rig struct {
	block *block
	system
	lab  *lab
	plan plan
	gen  *load.Generator
	proc *process // nil: the generator alone
	pids []int
	// first is the first of the dialogs that are in use.
	first int
}

// open starts the system between the ends of the generator, which are bound
// first: a proxy asks whether its neighbours are there.
func (r *rig) open(ctx context.Context, cfg load.Config) (err error) {
	cfg.Net, cfg.Network, cfg.Spin = r.net, r.network, r.lab.spin
	if r.name == alone {
		cfg.Target = load.Target{CoreSide: r.net.Server(), ServerSide: r.net.Core(), Transparent: true}
	} else {
		cfg.Target = r.target()
	}
	if r.gen, err = load.Open(cfg); err != nil {
		return err
	}
	if r.name == alone {
		return nil
	}
	if r.proc, err = r.start(r.lab); err != nil {
		return err
	}
	t := cfg.Target
	err = r.proc.await(ctx, r.name, r.gen, func() bool {
		return load.Listening(r.network, t.CoreSide) && load.Listening(r.network, t.ServerSide)
	})
	if err != nil {
		return err
	}
	r.pids = r.proc.pids()
	return r.rest(ctx, 500*time.Millisecond)
}

func (r *rig) close() {
	if r.proc != nil {
		r.proc.stop()
	}
	if r.gen != nil {
		r.gen.Close()
	}
}

// rest lets the system come to rest, while its questions are answered.
func (r *rig) rest(ctx context.Context, d time.Duration) error {
	end := time.Now().Add(d)
	_, err := r.gen.Idle(ctx, func() bool { return time.Now().After(end) })
	return err
}

// subscribe opens the dialogs.
func (r *rig) subscribe(ctx context.Context, n int) error {
	r.first = r.gen.Opened()
	res, err := r.gen.Run(ctx, load.Phase{Kind: load.Subscribe, Count: n, Window: 64})
	if err != nil {
		return err
	}
	if res.Answered != n || !res.Clean() {
		r.note("opening %d dialogs: %s\n%s", n, res.Counts, res.Sample)
	}
	if res.Answered == 0 {
		return fmt.Errorf("%s over %s answers nothing\n%s", r.name, r.network, r.said())
	}
	return nil
}

func (r *rig) said() string {
	if r.proc == nil {
		return ""
	}
	return r.proc.log.String()
}

func (r *rig) note(format string, args ...any) {
	r.block.notes = append(r.block.notes, fmt.Sprintf(format, args...))
}

// run measures one phase.
func (r *rig) run(ctx context.Context, p load.Phase) (point, error) {
	if r.proc != nil {
		// Kamailio listens before it forks the children that do the work.
		r.pids = r.proc.pids()
	}
	before := cpu(r.pids)
	res, err := r.gen.Run(ctx, p)
	spent := cpu(r.pids) - before
	pt := point{
		asked: p.Rate, rate: res.Rate(), counts: res.Counts, drops: res.Drops,
	}
	if err != nil {
		return pt, fmt.Errorf("%s over %s, %s: %w\n%s", r.name, r.network, p.Kind, err, r.said())
	}
	pt.p50, pt.p99, pt.p999 = res.Latency.Quantile(.5), res.Latency.Quantile(.99), res.Latency.Quantile(.999)
	if n := res.Answered; n > 0 {
		pt.cpu = spent / time.Duration(n)
	}
	if res.Wrong > 0 || res.Rejected > 0 {
		r.note("%s at %.0f/s: %s\n%s", p.Kind, p.Rate, res.Counts, res.Sample)
	}
	return pt, nil
}

// measure is the whole programme of a block.
func (r *rig) measure(ctx context.Context) error {
	if err := r.subscribe(ctx, r.plan.dialogs); err != nil {
		return err
	}
	for _, k := range []load.Kind{load.Notify, load.Register, load.Subscribe} {
		if r.name == alone && k != load.Notify {
			continue
		}
		f := new(figures)
		r.block.works[k] = f
		if err := r.work(ctx, k, f); err != nil {
			return err
		}
	}
	return nil
}

func (r *rig) work(ctx context.Context, k load.Kind, f *figures) (err error) {
	p := load.Phase{Kind: k, Dialogs: r.plan.dialogs, First: r.first}
	warm := p
	warm.Duration = 200 * time.Millisecond
	if _, err = r.gen.Run(ctx, warm); err != nil {
		return err
	}
	p.Rate, p.Duration = r.plan.moderate, r.plan.otherFor
	if k == load.Notify {
		p.Duration = r.plan.notifyFor
	}
	if f.moderate, err = r.watched(ctx, p); err != nil {
		return err
	}
	if k == load.Notify {
		r.block.memory = r.used(r.lab, r.pids)
	}
	p.Rate, p.Duration = 0, r.plan.saturateFor
	if f.saturated, err = r.run(ctx, p); err != nil {
		return err
	}
	if k == load.Notify {
		p.Vary = variety
		if f.varied, err = r.run(ctx, p); err != nil {
			return err
		}
	}
	switch {
	case r.name == alone:
		return nil
	case k == load.Notify:
		return r.climbLadder(ctx, f)
	default:
		return r.climb(ctx, k, f)
	}
}

// variety is by how many bytes the messages of a real server differ, about: names and
// Call-IDs are of many lengths, and no train of datagrams is as long as it could be.
const variety = 64

// watched is run with a look at what rewatch counts meanwhile.
func (r *rig) watched(ctx context.Context, p load.Phase) (point, error) {
	if r.name != sysRewatch {
		return r.run(ctx, p)
	}
	before, err := scrape(ctx, r.admin())
	if err != nil {
		return point{}, err
	}
	pt, err := r.run(ctx, p)
	if err != nil {
		return pt, err
	}
	after, err := scrape(ctx, r.admin())
	if err != nil {
		return pt, err
	}
	for _, d := range disagreements(p.Kind, pt.counts, before, after) {
		r.note("the metrics of rewatch do not agree: %s", d)
	}
	return pt, nil
}
