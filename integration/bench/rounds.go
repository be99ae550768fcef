package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"rewatch/integration/load"
)

// alone is the generator without any system between its ends: the latency that
// is its own.
const alone = "generator"

// comparison runs all systems in turn.
type comparison struct {
	lab      *lab
	plan     plan
	systems  []string
	networks []string
	out      io.Writer
}

func (c *comparison) run(ctx context.Context) ([]*block, error) {
	var all []*block
	for round := range c.plan.rounds {
		for _, network := range c.networks {
			for i := range c.systems {
				// Each round begins with another system, so that none is
				// always the one behind a certain neighbour.
				name := c.systems[(i+round)%len(c.systems)]
				b, err := c.block(ctx, round, name, network)
				if err != nil {
					return all, err
				}
				all = append(all, b)
			}
		}
	}
	return all, nil
}

func (c *comparison) block(ctx context.Context, round int, name, network string) (*block, error) {
	begin := time.Now()
	b := &block{round: round, system: name, network: network, works: map[load.Kind]*figures{}}
	r := &rig{block: b, lab: c.lab, plan: c.plan, system: system{name: name, network: network, net: netOf(round, name, network)}}
	defer r.close()
	err := r.open(ctx, load.Config{})
	if err == nil {
		err = r.measure(ctx)
	}
	if err != nil {
		return b, err
	}
	c.report(b, time.Since(begin))
	return b, nil
}

// netOf gives every block addresses of its own: nothing that is still under way
// from the block before can reach it.
func netOf(round int, name, network string) load.Net {
	n := 1 + round%30*8
	for i, s := range allSystems {
		if s == name {
			n += 2*i + 2
		}
	}
	if network == "tcp" {
		n++
	}
	return load.Net(fmt.Sprintf("127.201.%d", n%256))
}

// report says in a line or two what a block has shown.
func (c *comparison) report(b *block, took time.Duration) {
	n := b.works[load.Notify]
	say(c.out, "round %d/%d  %-3s  %-10s  NOTIFY %s us at %.0f/s, %s us saturated (%.0f/s), %.0f/s without loss, p50 %s p99 %s us  [%.0f s]\n",
		b.round+1, c.plan.rounds, b.network, b.system, micros(n.moderate.cpu), n.moderate.asked, micros(n.saturated.cpu),
		n.saturated.rate, n.best, micros(n.moderate.p50), micros(n.moderate.p99), took.Seconds())
	for k := range b.works {
		for what, p := range map[string]point{"moderate": b.works[k].moderate, "saturated": b.works[k].saturated, "varied": b.works[k].varied} {
			if !p.counts.Clean() {
				say(c.out, "           %s, %s rate: %s (%d dropped at the generator)\n", k, what, p.counts, p.drops)
			}
		}
	}
	for _, n := range b.notes {
		say(c.out, "           %s\n", n)
	}
}

// say writes a line of progress; where nobody reads it, nothing is lost.
func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }

func micros(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e3) }
