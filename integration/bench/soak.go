package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"rewatch/integration/load"
)

// soakToken is the token of the admin port in a soak.
const soakToken = "soak"

// soakPlan is half an hour, or with quick two thirds of a minute.
func soakPlan(quick bool) load.Soak {
	p := load.Soak{
		Users: 10000, Rate: 5000, Registers: 10, Air: 0.05, Last: 30 * time.Minute,
		Restart: 2 * time.Minute, Down: 2 * time.Second, Moves: []int{5, 10}, Seed: 1,
	}
	if quick {
		p.Users, p.Rate, p.Last = 2000, 1000, 20*time.Second
		p.Restart, p.Down, p.Moves = 4*time.Second, 300*time.Millisecond, []int{2, 4}
	}
	return p
}

// soak runs the long run and tells all that was wrong.
func soak(ctx context.Context, l *lab, net load.Net, p load.Soak, out io.Writer) error {
	r := &rig{block: &block{system: sysRewatch, network: "udp"}, lab: l}
	r.system = system{name: sysRewatch, network: "udp", net: net, env: []string{
		"REWATCH_ADMIN_TOKEN=" + soakToken, "REWATCH_DOMAINS=ims.example", "REWATCH_MESSAGE_RATE=500",
		"REWATCH_STATE=file:" + filepath.Join(l.dir, "soak-state"),
	}}
	defer r.close()
	if err := r.open(ctx, load.Config{}); err != nil {
		return err
	}
	s := watchSoak(ctx, r, p)
	v, err := r.gen.Soak(ctx, p)
	s.stop()
	if err != nil {
		return errors.Join(err, errors.New(r.said()))
	}
	end, err := scrape(ctx, r.admin())
	if err != nil {
		return err
	}
	say(out, "  %s\n", v)
	s.report(out)
	var faults []error
	for _, f := range slices.Concat([]string{v.Faults()}, s.leaks(), disagree(v, end)) {
		if f != "" {
			faults = append(faults, errors.New(f))
		}
	}
	switch {
	case len(faults) == 0:
		return nil
	case v.Drops > 0 || v.Paused > longestPause:
		faults = append(faults, errBusy)
	}
	return errors.Join(append(faults, errors.New(r.said()))...)
}

// errBusy is among the faults of a soak in which the kernel dropped datagrams that nobody
// knows of, or the generator stood still for longer than longestPause: it may have been the
// machine.
var errBusy = errors.New("the machine is too busy for a soak")

const longestPause = 200 * time.Millisecond

// disagree compares what rewatch counted with what the generator knows.
func disagree(v load.Verdicts, m metrics) (list []string) {
	near := func(what string, got float64, want int) {
		if d := got - float64(want); d > float64(v.Unended) || -d > float64(v.Unended) {
			list = append(list, fmt.Sprintf("rewatch counted %.0f NOTIFYs %s, the generator %d", got, what, want))
		}
	}
	near("ok", m[`rewatch_notify_total{event="presence",result="ok"}`], v.Delivered)
	near("in all", m.sum("rewatch_notify_total"), v.Notified)
	for _, name := range []string{"rewatch_deregistrations_total", `rewatch_recoveries_total{result="exhausted"}`} {
		if n := m.sum(name); n != 0 {
			list = append(list, fmt.Sprintf("%s is %.0f", name, n))
		}
	}
	return list
}

// soakWatch looks at what rewatch holds, each time shortly before the core restarts.
type soakWatch struct {
	cancel context.CancelFunc
	done   chan struct{}
	held   []metrics
	errs   []error
}

// held are the gauges that may not grow.
var held = []string{"go_goroutines", "process_open_fds", "go_memstats_heap_alloc_bytes"}

func watchSoak(ctx context.Context, r *rig, p load.Soak) *soakWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := &soakWatch{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		t := time.NewTimer(p.Restart * 9 / 10)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				t.Reset(p.Restart)
			}
			m, err := collected(ctx, r.admin())
			w.held, w.errs = append(w.held, m), append(w.errs, err)
		}
	}()
	return w
}

func (w *soakWatch) stop() {
	w.cancel()
	<-w.done
}

// collected reads the metrics after a collection of garbage, which asking for the heap
// profile brings about.
func collected(ctx context.Context, addr string) (metrics, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/debug/pprof/heap?gc=1", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+soakToken)
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("heap profile: %s", res.Status)
	}
	return scrape(ctx, addr)
}

func (w *soakWatch) report(out io.Writer) {
	for _, name := range append(held, "process_resident_memory_bytes", "rewatch_subscriptions", "rewatch_transactions") {
		say(out, "  %s:", name)
		for _, m := range w.held {
			say(out, " %.6g", m[name])
		}
		say(out, "\n")
	}
}

// leaks compares the last samples with those of before: a soak is level when a gauge is
// within 5 % of what it was after the first third.
func (w *soakWatch) leaks() (list []string) {
	if err := errors.Join(w.errs...); err != nil {
		return []string{err.Error()}
	}
	if len(w.held) < 3 {
		return []string{"too few samples"}
	}
	for _, name := range held {
		was, is := w.held[len(w.held)/3][name], w.held[len(w.held)-1][name]
		if is > was*1.05+4 {
			list = append(list, fmt.Sprintf("%s rose from %.0f to %.0f", name, was, is))
		}
	}
	return list
}
