//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// A rewatch is a running rewatch of a site.
type rewatch struct {
	*process
	s *site
}

// env is what rewatch is started with. The times are short, so that a test is.
type env map[string]string

// startRewatch starts rewatch between the core and the server of the site and
// waits until it is ready.
func (s *site) startRewatch(extra env) *rewatch {
	s.t.Helper()
	r := s.launchRewatch(extra)
	eventually(s.t, patience, "rewatch is ready", func() bool {
		r.running()
		status, _ := r.get("/readyz")
		return status == http.StatusOK
	})
	return r
}

// launchRewatch starts rewatch without waiting for it.
func (s *site) launchRewatch(extra env) *rewatch {
	s.t.Helper()
	// Runs once the process has ended: nothing that comes in may crash it, and
	// with -race it tells of races in its log only.
	var p *process
	s.t.Cleanup(func() {
		for line := range strings.SplitSeq(p.output(), "\n") {
			if strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
				s.t.Errorf("rewatch: %s", line)
			}
		}
	})
	p = s.start("rewatch", s.settings(extra), binary)
	return &rewatch{process: p, s: s}
}

// settings is the environment of a rewatch of the site.
func (s *site) settings(extra env) []string {
	all := env{
		"REWATCH_SERVER":              "sip:" + s.ip(40) + ":5070;transport=udp",
		"REWATCH_CORE":                "sip:" + s.ip(20) + ":5060;transport=udp",
		"REWATCH_LISTEN":              fmt.Sprintf("udp://%[1]s:5060,tcp://%[1]s:5060", s.ip(30)),
		"REWATCH_SERVER_LISTEN":       fmt.Sprintf("udp://%[1]s:5062,tcp://%[1]s:5062", s.ip(31)),
		"REWATCH_ADMIN_LISTEN":        s.ip(30) + ":9090",
		"REWATCH_NOTIFY_TIMEOUT":      "2s",
		"REWATCH_RESUBSCRIBE_TIMEOUT": "5s",
		"REWATCH_PATIENCE":            "none", // no test waits for the refresh of a client
		"REWATCH_COALESCE":            "200ms",
		"REWATCH_LOG_LEVEL":           "debug",
	}
	maps.Copy(all, extra)
	var list []string
	for name, value := range all {
		list = append(list, name+"="+value)
	}
	return list
}

// coreSide and serverSide are where the neighbours find rewatch.
func (s *site) coreSide() string   { return s.ip(30) + ":5060" }
func (s *site) serverSide() string { return s.ip(31) + ":5062" }

// get asks the admin server; status 0 means that it is not there.
func (r *rewatch) get(path string) (int, string) {
	c := http.Client{Timeout: patience}
	resp, err := c.Get("http://" + r.s.ip(30) + ":9090" + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// metric is the sum of a metric over the series that have these labels:
// r.metric("rewatch_notify_total", `result="failed"`).
func (r *rewatch) metric(name string, labels ...string) float64 {
	r.t.Helper()
	_, text := r.get("/metrics")
	sum := 0.0
line:
	for line := range strings.SplitSeq(text, "\n") {
		series, value, ok := strings.Cut(line, " ")
		if i := strings.LastIndex(line, "} "); i >= 0 {
			series, value, ok = line[:i+1], line[i+2:], true
		}
		base, _, _ := strings.Cut(series, "{")
		if !ok || base != name {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(series, label) {
				continue line
			}
		}
		v, err := strconv.ParseFloat(value, 64)
		if err == nil {
			sum += v
		}
	}
	return sum
}

// api reads a part of the read API into v.
func (r *rewatch) api(path string, v any) {
	r.t.Helper()
	status, body := r.get("/api/v1/" + path)
	if status != http.StatusOK {
		r.t.Fatalf("GET /api/v1/%s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), v); err != nil {
		r.t.Fatalf("GET /api/v1/%s: %v in %s", path, err, body)
	}
}
