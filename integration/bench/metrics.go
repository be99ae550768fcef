package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rewatch/integration/load"
)

// metrics are samples of a Prometheus exposition, by name and labels as written.
type metrics map[string]float64

// scrape reads the metrics of rewatch.
func scrape(ctx context.Context, addr string) (metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // a connection that stays would wake a thread now and then
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // only read
	m := metrics{}
	for s := bufio.NewScanner(res.Body); s.Scan(); {
		line := s.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		if v, err := strconv.ParseFloat(line[i+1:], 64); err == nil {
			m[line[:i]] = v
		}
	}
	return m, nil
}

// sum adds all samples whose name begins so.
func (m metrics) sum(prefix string) (total float64) {
	for name, v := range m {
		if strings.HasPrefix(name, prefix) {
			total += v
		}
	}
	return total
}

// disagreements compares what rewatch has counted with what the generator has.
func disagreements(k load.Kind, c load.Counts, before, after metrics) (list []string) {
	side, back := "core", "server"
	if k == load.Notify {
		side, back = "server", "core"
	}
	expect := func(name string, want int) {
		if got := after[name] - before[name]; got != float64(want) {
			list = append(list, fmt.Sprintf("%s rose by %.0f, the generator has %d", name, got, want))
		}
	}
	expect(fmt.Sprintf(`rewatch_requests_total{method="%s",side="%s"}`, k, side), c.Sent)
	if c.Foreign == 0 { // else the answers to requests of its own are among them
		expect(fmt.Sprintf(`rewatch_responses_total{class="2xx",side="%s"}`, back), c.Answered)
	}
	switch k {
	case load.Notify:
		expect(`rewatch_notify_total{event="presence",result="ok"}`, c.Answered)
	case load.Subscribe:
		expect("rewatch_subscriptions", c.Answered)
	case load.Register:
	}
	for _, name := range []string{"rewatch_dropped_total", "rewatch_refused_total", "rewatch_untracked_total", "rewatch_stateless_total"} {
		if n := after.sum(name) - before.sum(name); n != 0 {
			list = append(list, fmt.Sprintf("%s rose by %.0f", name, n))
		}
	}
	return list
}
