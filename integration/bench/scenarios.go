package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"rewatch/integration/load"
)

// scenario is a run of rewatch alone that asks one question.
type scenario struct {
	name    string
	about   string
	dialogs int
	rate    float64
	last    time.Duration
	quick   time.Duration
	mute    int           // of a hundred
	drain   time.Duration // 0: a second
	ring    int
	env     []string
}

// notifyDeadline is the default of REWATCH_NOTIFY_TIMEOUT.
const notifyDeadline = 28 * time.Second

var scenarios = []scenario{
	{
		name: "unanswered-10", about: "one dialog in ten is dead; the others keep their latency and lose nothing",
		dialogs: 20000, rate: 5000, last: 45 * time.Second, quick: 10 * time.Second, mute: 10,
		drain: notifyDeadline + 3*time.Second, ring: 1 << 20,
	},
	{
		name: "unanswered-100", about: "nobody answers; memory stays bounded, and every NOTIFY gets its end",
		dialogs: 20000, rate: 5000, last: 45 * time.Second, quick: 10 * time.Second, mute: 100,
		drain: notifyDeadline + 3*time.Second, ring: 1 << 20,
	},
	{
		name: "million", about: "a million subscriptions and 20,000 NOTIFY/s: memory, p99, and what the collector takes",
		dialogs: 1000000, rate: 20000, last: 30 * time.Second, quick: 10 * time.Second,
		env: []string{"REWATCH_MAX_SUBSCRIPTIONS=1100000"},
	},
}

func scenarioNames() []string {
	list := []string{"compare", "profile", "soak"}
	for _, s := range scenarios {
		list = append(list, s.name)
	}
	return list
}

func runScenario(ctx context.Context, l *lab, name string, quick bool, out io.Writer) error {
	for i, s := range scenarios {
		if s.name != name {
			continue
		}
		if quick {
			s.last = s.quick
		}
		say(out, "\n%s: %s\n", s.name, s.about)
		return s.run(ctx, l, load.Net(fmt.Sprintf("127.202.%d", i+1)), out)
	}
	return fmt.Errorf("no scenario %q; there are %s", name, strings.Join(scenarioNames(), ", "))
}

func (s *scenario) run(ctx context.Context, l *lab, net load.Net, out io.Writer) error {
	b := &block{system: sysRewatch, network: "udp"}
	r := &rig{block: b, lab: l, system: system{name: sysRewatch, network: "udp", net: net, env: append(s.env, "GODEBUG=gctrace=1")}}
	defer r.close()
	if err := r.open(ctx, load.Config{Ring: s.ring}); err != nil {
		return err
	}
	begin := time.Now()
	if err := r.subscribe(ctx, s.dialogs); err != nil {
		return err
	}
	say(out, "  %s dialogs opened in %.1f s, %.0f MB\n", thousands(s.dialogs), time.Since(begin).Seconds(), mega(memory(r.pids)))
	if err := s.warm(ctx, r, out); err != nil {
		return err
	}
	before, err := scrape(ctx, r.admin())
	if err != nil {
		return err
	}
	w := watch(ctx, r.pids)
	p := load.Phase{Kind: load.Notify, Rate: s.rate, Duration: s.last, Dialogs: s.dialogs, Mute: s.mute, Drain: s.drain}
	pt, err := r.run(ctx, p)
	sizes := w.stop()
	if err != nil {
		return err
	}
	after, err := scrape(ctx, r.admin())
	if err != nil {
		return err
	}
	s.report(out, p, pt, sizes, before, after, r.said())
	for _, n := range b.notes {
		say(out, "  %s\n", n)
	}
	return nil
}

// lingering is how long a proxy remembers a transaction that has ended (Timer K);
// by then its tables have the size that the rate needs.
const lingering = 5 * time.Second

// warm lets the tables grow before memory and latency count: on a virtual machine
// the first touch of a page costs more than anything else does.
func (s *scenario) warm(ctx context.Context, r *rig, out io.Writer) error {
	if s.mute > 0 {
		return r.rest(ctx, time.Second)
	}
	pt, err := r.run(ctx, load.Phase{Kind: load.Notify, Rate: s.rate, Duration: lingering + time.Second, Dialogs: s.dialogs})
	if err == nil {
		say(out, "  warming up: %s, p99 %s µs\n", pt.counts, micros(pt.p99))
	}
	return err
}

func (s *scenario) report(out io.Writer, p load.Phase, pt point, sizes []int64, before, after metrics, said string) {
	say(out, "  %s\n", pt.counts)
	say(out, "  latency p50 %s p99 %s p99.9 %s µs, CPU %s µs for each answered NOTIFY\n",
		micros(pt.p50), micros(pt.p99), micros(pt.p999), micros(pt.cpu))
	say(out, "  memory, MB each 5 s: %s\n", series(sizes))
	rise := func(name string) float64 { return after[name] - before[name] }
	say(out, "  collector: %.0f times meanwhile, %.0f since the start; pause %.2f ms at most; %s; heap in use %.0f MB\n",
		rise("go_gc_duration_seconds_count"), after["go_gc_duration_seconds_count"],
		1e3*after[`go_gc_duration_seconds{quantile="1"}`], gcShare(said), after["go_memstats_heap_inuse_bytes"]/1e6)
	say(out, "  rewatch: %.0f subscriptions, %.0f transactions open, NOTIFYs ok %.0f, failed %.0f, ignored %.0f, MESSAGEs %.0f\n",
		after["rewatch_subscriptions"], after["rewatch_transactions"], rise(`rewatch_notify_total{event="presence",result="ok"}`),
		rise(`rewatch_notify_total{event="presence",result="failed"}`), rise(`rewatch_notify_total{event="presence",result="ignored"}`),
		after.sum("rewatch_messages_total")-before.sum("rewatch_messages_total"))
	if s.mute == 0 {
		for _, d := range disagreements(p.Kind, pt.counts, before, after) {
			say(out, "  the metrics do not agree: %s\n", d)
		}
	}
}

// gcShare reads from the last line of a GC trace what share of the CPU the
// collector has taken since the start.
func gcShare(said string) string {
	const mark = "\ngc "
	i := strings.LastIndex(said, mark)
	if i < 0 {
		return "no trace"
	}
	line, _, _ := strings.Cut(said[i+len(mark):], "\n")
	if _, rest, ok := strings.Cut(line, "s "); ok {
		if share, _, ok := strings.Cut(rest, ":"); ok {
			return share + " of its CPU time since the start"
		}
	}
	return line
}

func mega(n int64) float64 { return float64(n) / 1e6 }

func series(sizes []int64) string {
	var b strings.Builder
	for i, n := range sizes {
		if i%5 == 0 || i == len(sizes)-1 {
			fmt.Fprintf(&b, "%.0f ", mega(n))
		}
	}
	return strings.TrimSpace(b.String())
}

// watcher looks at the memory of processes each second.
type watcher struct {
	cancel context.CancelFunc
	sizes  chan []int64
}

func watch(ctx context.Context, pids []int) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{cancel: cancel, sizes: make(chan []int64, 1)}
	go func() {
		sizes := []int64{memory(pids)}
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				w.sizes <- append(sizes, memory(pids))
				return
			case <-t.C:
				sizes = append(sizes, memory(pids))
			}
		}
	}()
	return w
}

func (w *watcher) stop() []int64 {
	w.cancel()
	return <-w.sizes
}
