//go:build integration

package integration

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rewatch/integration/load"
)

// What the acceptance list names.
const (
	floodDatagrams = 2_000_000
	floodStreams   = 5_000
	floodLatency   = 20 * time.Millisecond // of the good traffic, p99
)

const (
	// floodRate is how many of them come in a second: several times what a server
	// sends, and less than the two cores carry that rewatch shares here with the
	// flood itself, the crowd, and both neighbours.
	floodRate = 45_000
	// floodMemory is what the defaults may take at such a time, in bytes.
	floodMemory = 512 << 20
	// goodDialogs and goodRate are the traffic that matters.
	goodDialogs = 2000
	goodRate    = 500
)

// TestFlood: 2,000,000 datagrams of garbage and half-valid messages, SUBSCRIBEs and
// REGISTERs of users who do not exist, and 5,000 slow connections. Meanwhile the
// NOTIFYs of others pass as fast as ever and each connection that has something to
// say is heard; memory stays below its bound; the process goes on; and when it is
// over, nothing is left of it. The other tests are not running yet.
func TestFlood(t *testing.T) {
	s := newSite(t)
	g, r := s.startLoad("udp", env{"REWATCH_LOG_LEVEL": "info", "REWATCH_NOTIFY_TIMEOUT": "28s"})
	run := func(p load.Phase) load.Result {
		t.Helper()
		res, err := g.Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	opened := run(load.Phase{Kind: load.Subscribe, Rate: goodRate, Count: goodDialogs, Dialogs: goodDialogs, Drain: patience})
	if opened.Answered < goodDialogs || opened.Wrong > 0 {
		t.Fatalf("before the flood: %v\n%s", opened.Counts, opened.Sample)
	}
	before := r.vitals()

	var all sync.WaitGroup
	over := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer all.Wait()
	defer cancel()
	enemies := &idlers{target: s.coreSide(), hosts: []string{s.ip(61), s.ip(62), s.ip(63), s.ip(64)}}
	all.Go(func() { enemies.gather(ctx, floodStreams) })
	caller := &caller{from: s.ip(51), to: s.coreSide()}
	all.Go(func() { caller.call(ctx) })
	go func() {
		defer close(over)
		var pouring sync.WaitGroup
		for i, share := range []int{floodDatagrams * 9 / 10, floodDatagrams / 10} {
			// The second one is a stranger: it is told so, and that is all.
			from := s.ip([]int{60, 200}[i]) + ":5060"
			f := newFlood(t, uint64(i), from, s.coreSide()) //nolint:gosec // not negative
			pouring.Go(func() {
				if err := f.pour(ctx, share, floodRate*float64(share)/floodDatagrams); err != nil {
					t.Error(err)
				}
			})
		}
		pouring.Wait()
	}()

	var good []stretch
	for flooding := true; flooding; {
		select {
		case <-over:
			flooding = false
		default:
		}
		others := r.cpuOfOthers()
		res := run(load.Phase{Kind: load.Notify, Rate: goodRate, Duration: 2 * time.Second, Dialogs: goodDialogs})
		good = append(good, stretch{res, r.cpuOfOthers() - others})
	}
	during := r.vitals()
	cancel()
	all.Wait()
	judgeGood(t, good)
	poured := time.Now()
	t.Logf("connections: %d at a time, %d in all; calls over TCP: %v", enemies.most.Load(), enemies.opened.Load(), caller)
	t.Logf("memory: %d MB before, %d MB at most; kernel drops: %v", before.rss>>20, during.peak>>20, r.metric("rewatch_udp_dropped_total"))
	if during.peak > floodMemory && !raceEnabled {
		t.Errorf("memory reached %d MB, more than %d", during.peak>>20, floodMemory>>20)
	}
	if during.pid != before.pid || during.started != before.started {
		t.Errorf("the process was restarted: %+v, then %+v", before, during)
	}
	if n := enemies.most.Load(); n < floodStreams {
		t.Errorf("only %d slow connections stood at a time", n)
	}
	if !raceEnabled {
		caller.judge(t)
	}
	for _, reason := range []string{"malformed", "untrusted", "slow"} {
		if r.metric("rewatch_refused_total", `reason="`+reason+`"`) == 0 {
			t.Errorf("nothing is counted as %s", reason)
		}
	}
	// Some of what was changed at random means what it says for an hour.
	const left = goodDialogs
	eventually(t, 90*time.Second, "nothing is left of the flood", func() bool {
		until := time.Now().Add(200 * time.Millisecond)
		_, err := g.Idle(t.Context(), func() bool { return time.Now().After(until) })
		return err == nil && r.metric("rewatch_transactions") == 0 && r.metric("rewatch_streams") == 0 &&
			r.metric("rewatch_stream_bytes") == 0 && r.metric("rewatch_subscriptions") <= goodDialogs+left &&
			r.metric("rewatch_registrations") <= left
	})
	// A NOTIFY that was lost in the flood has ended its subscription, but no other one is.
	ended := lostOf(good)
	after := run(load.Phase{Kind: load.Notify, Rate: goodRate, Duration: 2 * time.Second, Dialogs: goodDialogs, Drain: patience})
	if after.Lost+after.Wrong > 0 || after.Rejected > ended {
		t.Errorf("after the flood, in which %d were lost: %v\n%s", ended, after.Counts, after.Sample)
	}
	t.Logf("%d MB afterwards, when nothing was left after %v", r.vitals().rss>>20, time.Since(poured).Round(time.Second))
}

// startLoad starts a generator of load as both neighbours, and rewatch between them.
func (s *site) startLoad(network string, settings env) (*load.Generator, *rewatch) {
	s.t.Helper()
	plan := load.Net(s.net)
	target := load.Target{CoreSide: plan.CoreSide(), ServerSide: plan.ServerSide(), OnNotify: 2, OnSubscribe: 2}
	g, err := load.Open(load.Config{Net: plan, Network: network, Target: target})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(g.Close)
	all := env{"REWATCH_TRUSTED": s.net + ".0/25", "REWATCH_SERVER": "sip:" + s.ip(40) + ":5070;transport=" + network}
	maps.Copy(all, settings)
	r := s.launchRewatch(all)
	if _, err := g.Idle(s.t.Context(), func() bool { status, _ := r.get("/readyz"); return status == 200 }); err != nil {
		s.t.Fatal(err)
	}
	return g, r
}

// stretch is some seconds of the good traffic, and how much of the processors other
// processes had meanwhile.
type stretch struct {
	load.Result
	others time.Duration
}

// lostOf is how many of them got no answer, however busy the machine was.
func lostOf(all []stretch) (n int) {
	for _, s := range all {
		n += s.Lost
	}
	return n
}

// judgeGood judges the good traffic. Stretches in which others had more than a tenth
// of the machine do not count: rewatch did not have its turn then. Of the rest half
// have to be fast, since one stall of the machine is in the tail of all of them.
func judgeGood(t *testing.T, all []stretch) {
	t.Helper()
	good := load.Result{Latency: new(load.Histogram)}
	var tails []time.Duration
	for _, s := range all {
		if s.others > s.Elapsed*time.Duration(runtime.NumCPU())/10 {
			continue
		}
		tails = append(tails, s.Latency.Quantile(0.99))
		good.Sent, good.Answered, good.Lost = good.Sent+s.Sent, good.Answered+s.Answered, good.Lost+s.Lost
		good.Wrong, good.Rejected, good.Foreign = good.Wrong+s.Wrong, good.Rejected+s.Rejected, good.Foreign+s.Foreign
		good.Latency.Merge(s.Latency)
		if s.Sample != "" {
			good.Sample = s.Sample
		}
	}
	slices.Sort(tails)
	t.Logf("good traffic in %d of %d stretches: %v; p50 %v, p99 %v, at most %v; p99 of each: %v", len(tails), len(all), good.Counts,
		good.Latency.Quantile(0.5), good.Latency.Quantile(0.99), good.Latency.Max(), tails)
	switch {
	case len(tails) < 5 || raceEnabled:
		t.Log("the machine is too busy with other things to judge the latency")
	case tails[len(tails)/2] > floodLatency:
		t.Errorf("p99 of the good traffic is %v in the median stretch, more than %v", tails[len(tails)/2], floodLatency)
	case good.Lost > good.Sent/1000:
		t.Errorf("good traffic is lost: %v", good.Counts)
	}
	if good.Wrong > 0 {
		t.Errorf("good traffic: %v\n%s", good.Counts, good.Sample)
	}
}

// cpuOfOthers is how much of all processors those have had so far that are neither
// this process nor rewatch: other processes, and other machines on the same host.
func (r *rewatch) cpuOfOthers() time.Duration {
	r.t.Helper()
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		r.t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	words := strings.Fields(line)
	ticks := ticksOf(words[1:4]) + ticksOf(words[8:9]) // user, nice, system; steal
	for _, pid := range []string{"self", strconv.Itoa(r.cmd.Process.Pid)} {
		ticks -= ticksOf(r.stat(pid)[11:13]) // utime, stime
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}

func ticksOf(words []string) (sum int) {
	for _, w := range words {
		n, _ := strconv.Atoi(w)
		sum += n
	}
	return sum
}

// stat gives the fields of /proc/PID/stat from the state on.
func (r *rewatch) stat(pid string) []string {
	r.t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		r.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.Fields(rest)
}

// vitals are the signs of life of a process.
type vitals struct {
	pid       int
	started   string // in clock ticks since boot
	rss, peak int    // bytes
}

// vitals reads them from /proc.
func (r *rewatch) vitals() vitals {
	r.t.Helper()
	r.running()
	v := vitals{pid: r.cmd.Process.Pid}
	v.started = r.stat(strconv.Itoa(v.pid))[19]
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.pid))
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		n, _ := strconv.Atoi(words[1])
		switch words[0] {
		case "VmRSS:":
			v.rss = n << 10
		case "VmHWM:":
			v.peak = n << 10
		}
	}
	return v
}

// A caller opens a connection again and again, asks something, and closes it.
type caller struct {
	from, to string
	took     []time.Duration
	failed   []error
}

func (c *caller) call(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		start := time.Now()
		if err := c.ask(n); err != nil {
			c.failed = append(c.failed, err)
		} else {
			c.took = append(c.took, time.Since(start))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *caller) ask(n int) error {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}
	conn, err := d.Dial("tcp4", c.to)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	msg := strings.Replace(strings.Replace(hello, "bKcrowd", fmt.Sprint("bKcaller", n), 1), "ID: crowd", fmt.Sprint("ID: caller", n), 1)
	if _, err := io.WriteString(conn, msg); err != nil {
		return err
	}
	b := make([]byte, 4096)
	k, err := conn.Read(b)
	if err == nil && !strings.HasPrefix(string(b[:k]), "SIP/2.0 200 ") {
		err = fmt.Errorf("answered %q", b[:k])
	}
	return err
}

func (c *caller) String() string {
	slices.Sort(c.took)
	if len(c.took) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, p50 %v, p99 %v; failed: %v", len(c.took), c.took[len(c.took)/2], c.took[len(c.took)*99/100], c.failed)
}

func (c *caller) judge(t *testing.T) {
	t.Helper()
	if len(c.took) < 100 || len(c.failed) > len(c.took)/100 {
		t.Errorf("calls over TCP: %v, %v", c, c.failed[:min(3, len(c.failed))])
	}
}
