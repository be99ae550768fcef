package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// options are those of the command line.
type options struct {
	quick, checkSIPp bool
	spin             bool
	scenario         string
	systems          string
	networks         string
	rounds, procs    int
	out, readme      string
	rewatch          string
}

func (o *options) parse() {
	flag.BoolVar(&o.quick, "quick", false, "one short round, about two minutes")
	flag.BoolVar(&o.checkSIPp, "check-sipp", false, "hold the generator's counts against those of SIPp, and end")
	flag.StringVar(&o.scenario, "scenario", "compare", "what to run, comma-separated: "+strings.Join(scenarioNames(), ", "))
	flag.StringVar(&o.systems, "systems", strings.Join(allSystems, ","), "systems to compare")
	flag.StringVar(&o.networks, "networks", "udp,tcp", "transports")
	flag.IntVar(&o.rounds, "rounds", 0, "rounds (0: three, or one with -quick)")
	flag.BoolVar(&o.spin, "spin", false, "let the generator poll without ever sleeping")
	flag.IntVar(&o.procs, "procs", 0, "GOMAXPROCS of rewatch and the relay (0: as they choose)")
	flag.StringVar(&o.rewatch, "rewatch", "", "binary to measure (empty: build it)")
	flag.StringVar(&o.out, "out", "bench-results", "directory for the table and the plot")
	flag.StringVar(&o.readme, "readme", "", "file to put the table into, between <!-- bench:start --> and <!-- bench:end -->")
	flag.Parse()
}

func main() {
	var o options
	o.parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, o)
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "bench: stopped")
		os.Exit(130) //nolint:gocritic // everything is closed by now
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "rewatch-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	l := &lab{dir: dir, procs: o.procs, spin: o.spin, rewatch: o.rewatch}
	if o.checkSIPp {
		return checkSIPp(ctx, l, os.Stdout)
	}
	fmt.Println(thisMachine())
	if err := l.build(ctx); err != nil {
		return err
	}
	for name := range strings.SplitSeq(o.scenario, ",") {
		switch name {
		case "compare":
			err = compare(ctx, l, o)
		case "profile":
			err = recordProfile(ctx, l, os.Stdout)
		case "soak":
			err = soak(ctx, l, "127.205.1", soakPlan(o.quick), os.Stdout)
		default:
			err = runScenario(ctx, l, name, o.quick, os.Stdout)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compare runs the rounds and writes what they have shown.
func compare(ctx context.Context, l *lab, o options) error {
	c := &comparison{lab: l, plan: fullPlan, networks: strings.Split(o.networks, ","), out: os.Stdout}
	if o.quick {
		c.plan = quickPlan
	}
	if o.rounds > 0 {
		c.plan.rounds = o.rounds
	}
	c.systems = append([]string{alone}, strings.Split(o.systems, ",")...)
	for _, s := range c.systems[1:] {
		if !known(s) {
			return fmt.Errorf("no system %q; there are %s", s, strings.Join(allSystems, ", "))
		}
	}
	blocks, err := c.run(ctx)
	if len(blocks) == 0 || errors.Is(err, context.Canceled) {
		return err
	}
	return errors.Join(err, publish(blocks, c, o))
}

// publish writes the table and the plot, and puts the table into the README.
func publish(blocks []*block, c *comparison, o options) error {
	m := thisMachine()
	t := newTables(blocks)
	fmt.Println()
	fmt.Print(t.text())
	if err := os.MkdirAll(o.out, 0o750); err != nil {
		return err
	}
	markdown := t.markdown(m, c.plan)
	errs := []error{
		os.WriteFile(filepath.Join(o.out, "bench.txt"), []byte(m.String()+"\n\n"+t.text()), 0o600),
		os.WriteFile(filepath.Join(o.out, "bench.md"), []byte(markdown), 0o600),
	}
	for _, network := range slices.Compact(slices.Clone(c.networks)) {
		svg := latencyPlot(blocks, network)
		errs = append(errs, os.WriteFile(filepath.Join(o.out, "latency-"+network+".svg"), []byte(svg), 0o600))
	}
	if o.readme != "" {
		errs = append(errs, insert(o.readme, markdown))
	}
	return errors.Join(errs...)
}
