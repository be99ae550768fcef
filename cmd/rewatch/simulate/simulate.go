// Package simulate is "rewatch simulate": it runs the rules against a network that
// only exists in memory, and prints what became of its users as text, Markdown or SVG.
package simulate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"rewatch/cmd/rewatch/cli"
	"rewatch/policy/simulate"
)

// Command is "rewatch simulate".
func Command(ctx context.Context, c cli.Call) error {
	opts, err := parseOptions(c.Args)
	if errors.Is(err, flag.ErrHelp) {
		return help(c.Stdout)
	}
	if err != nil {
		return err
	}
	if opts.sizes {
		return opts.printSizes(ctx, c.Stdout)
	}
	if _, redelivers := opts.rules["REDELIVER"]; redelivers {
		return opts.printComparison(ctx, c.Stdout)
	}
	var results []scene
	for _, s := range opts.scenarios {
		cfg, err := opts.configFor(s)
		if err != nil {
			return err
		}
		res, err := simulate.Run(ctx, cfg)
		if err != nil {
			return fmt.Errorf("simulate %s: %w", s.Name, err)
		}
		results = append(results, scene{s, res})
	}
	if err := printScenes(c.Stdout, results, opts.markdown); err != nil {
		return err
	}
	if opts.svg == "" {
		return nil
	}
	return os.WriteFile(opts.svg, []byte(drawScenes(results)), 0o644) //nolint:gosec // a picture for everybody
}

// scene is a scenario with its result.
type scene struct {
	simulate.Scenario
	*simulate.Result
}

// options are the flags that do not describe the simulated world.
type options struct {
	scenario, svg string
	markdown      bool
	sizes         bool
	watchers      int
	scenarios     []simulate.Scenario
	rules         ruleTexts
	args          []string
}

// all are the scenarios under the defaults; nohold is there to compare.
const (
	allScenarios   = "all"
	customScenario = "custom"
	comparison     = "nohold"
)

func parseOptions(args []string) (*options, error) {
	opts := &options{args: args}
	world := simulate.World()
	fs := worldFlags(opts, &world)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, cli.UsageError("simulate: " + err.Error())
	case fs.NArg() > 0:
		return nil, cli.UsageError(fmt.Sprintf("simulate takes no arguments, but got %q", fs.Arg(0)))
	}
	opts.watchers = world.Watchers
	opts.scenarios = selectScenarios(opts.scenario)
	if opts.scenarios == nil {
		return nil, cli.UsageError(fmt.Sprintf("simulate: there is no scenario %q; \"rewatch simulate -h\" lists them", opts.scenario))
	}
	return opts, nil
}

func selectScenarios(name string) []simulate.Scenario {
	var chosen []simulate.Scenario
	for _, s := range simulate.Scenarios() {
		if s.Name == name || name == allScenarios && s.Name != comparison {
			chosen = append(chosen, s)
		}
	}
	if name == customScenario {
		return []simulate.Scenario{custom()}
	}
	return chosen
}

// custom is the scenario whose trouble is given by flags.
func custom() simulate.Scenario {
	return simulate.Scenario{Name: customScenario, Summary: "what the flags say"}
}

// configFor joins the world, the rules and the scenario. Flags come before all of them, so they are
// parsed once more at the end.
func (o *options) configFor(s simulate.Scenario) (simulate.Config, error) {
	cfg := simulate.World()
	if err := o.rules.apply(&cfg); err != nil {
		return cfg, err
	}
	s.Apply(&cfg)
	var again options
	if err := worldFlags(&again, &cfg).Parse(o.args); err != nil {
		return cfg, err
	}
	return cfg, nil
}

// worldFlags defines the flags that set c. The values in c are their defaults.
func worldFlags(o *options, c *simulate.Config) *flag.FlagSet {
	fs := flag.NewFlagSet("rewatch simulate", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.scenario, "scenario", "outage", "what goes wrong: one of the scenarios, 'all', or 'custom' for what the flags say")
	fs.StringVar(&o.svg, "svg", "", "write a plot over time to this `file`")
	fs.BoolVar(&o.markdown, "markdown", false, "print the table as Markdown")
	fs.BoolVar(&o.sizes, "sizes", false, "print who is signed out wrongly, of 10 watchers, 100 and so on up to -watchers")
	fs.Uint64Var(&c.Seed, "seed", c.Seed, "the same seed gives the same run")
	fs.IntVar(&c.Watchers, "watchers", c.Watchers, "users who watch")
	fs.IntVar(&c.Replicas, "replicas", c.Replicas, "rewatch processes that share them; 0 is one for each million")
	fs.IntVar(&c.Hops, "hops", c.Hops, "next hops that share them")
	fs.DurationVar(&c.Duration, "duration", c.Duration, "how long to simulate")
	clientFlags(fs, &c.Clients)
	troubleFlags(fs, &c.Trouble)
	o.rules.flags(fs)
	return fs
}

func clientFlags(fs *flag.FlagSet, c *simulate.Clients) {
	fs.Float64Var(&c.Subscriptions, "subscriptions", c.Subscriptions, "subscriptions of each watcher, the mean of a geometric distribution")
	fs.DurationVar(&c.NotifyEvery, "notify-every", c.NotifyEvery, "mean pause between the NOTIFYs of a subscription")
	fs.DurationVar(&c.Refresh, "refresh", c.Refresh, "refresh interval of a subscription")
	fs.DurationVar(&c.Registration, "registration", c.Registration, "refresh interval of a registration")
	fs.DurationVar(&c.Resubscribe, "resubscribe", c.Resubscribe, "a client subscribes anew within this time after a MESSAGE")
	fs.Float64Var(&c.Ignore, "ignore", c.Ignore, "share of clients that take no notice of the MESSAGE")
	fs.Float64Var(&c.Lost, "lost", c.Lost, "share of those that lose a subscription for good by a terminating NOTIFY")
	fs.Float64Var(&c.Twins, "twins", c.Twins, "share of users with two devices")
}

func troubleFlags(fs *flag.FlagSet, t *simulate.Trouble) {
	fs.DurationVar(&t.Start, "start", t.Start, "when the trouble begins")
	fs.DurationVar(&t.Outage, "outage", t.Outage, "how long the whole core is silent")
	fs.DurationVar(&t.HopDown, "hop-down", t.HopDown, "how long one hop is silent")
	fs.DurationVar(&t.FlapFor, "flap-for", t.FlapFor, "how long one hop flaps")
	fs.DurationVar(&t.FlapDown, "flap-down", t.FlapDown, "how long it is silent each time")
	fs.DurationVar(&t.FlapUp, "flap-up", t.FlapUp, "how long it is well in between")
	fs.Float64Var(&t.Dead, "dead", t.Dead, "share of phones that are switched off once")
	fs.DurationVar(&t.DeadFor, "dead-for", t.DeadFor, "how long each is off")
	fs.Float64Var(&t.Moves, "moves", t.Moves, "share of phones that come back behind another hop once")
	fs.DurationVar(&t.MoveFor, "move-for", t.MoveFor, "how long each has no network meanwhile")
	fs.Float64Var(&t.Loss, "loss", t.Loss, "share of messages that are lost, one way")
	fs.DurationVar(&t.Reregister, "reregister", t.Reregister, "all phones register and subscribe anew within this time")
	fs.Float64Var(&t.ReregisterLoss, "reregister-loss", t.ReregisterLoss, "share of messages that are lost meanwhile")
}

// help lists the scenarios and the flags.
func help(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Usage: rewatch simulate [-scenario name] [flags]\n\n" +
		"Runs the rules against millions of simulated watchers, hours in seconds, and prints\n" +
		"what became of them. The same seed gives the same table.\n\nScenarios:\n")
	for _, s := range append(simulate.Scenarios(), custom(), simulate.Scenario{Name: allScenarios, Summary: "all of them under the defaults, one after the other"}) {
		fmt.Fprintf(&b, "  %-11s %s\n", s.Name, s.Summary)
	}
	b.WriteString("\nFlags (the rules have the names and the defaults of their variables):\n")
	world := simulate.World()
	fs := worldFlags(new(options), &world)
	fs.VisitAll(func(f *flag.Flag) {
		name, usage := flag.UnquoteUsage(f)
		shown := ""
		if !slices.Contains([]string{"", "0", "0s", "false"}, f.DefValue) {
			shown = " (" + f.DefValue + ")"
		}
		b.WriteString(cli.Entry(strings.TrimSpace("-"+f.Name+" "+name), 30, usage+shown))
	})
	_, err := io.WriteString(w, b.String())
	return err
}
