package main

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rewatch/integration/load"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file) //nolint:gosec // fixed names
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; rewrite it with -update if this is meant:\n%s", name, got)
	}
}

// made makes a block whose figures are simple multiples of cost.
func made(round int, system string, cost time.Duration) *block {
	b := &block{round: round, system: system, network: "udp", works: map[load.Kind]*figures{}, memory: int64(cost) * 1000}
	for _, k := range []load.Kind{load.Notify, load.Subscribe, load.Register} {
		f := &figures{
			moderate:  point{asked: 2000, cpu: 2 * cost, p50: 3 * cost, p99: 6 * cost, p999: 9 * cost},
			saturated: point{cpu: cost}, varied: point{cpu: cost * 11 / 10}, best: 1e9 / float64(cost),
		}
		for rate := 10000.; rate <= f.best; rate *= 1.5 {
			f.steps = append(f.steps, point{asked: rate, p50: 3 * cost, p99: time.Duration(float64(cost) * (6 + rate/1e4))})
		}
		b.works[k] = f
	}
	return b
}

func madeBlocks() (list []*block) {
	for round := range 3 {
		mood := time.Duration(round) * time.Microsecond
		list = append(list, made(round, alone, 1*time.Microsecond), made(round, sysRelay, 8*time.Microsecond+mood),
			made(round, sysRewatch, 10*time.Microsecond+mood/2), made(round, sysKamailio1, 24*time.Microsecond+mood),
			made(round, sysKamailio2, 26*time.Microsecond-mood))
	}
	return list
}

func TestTables(t *testing.T) {
	tables := newTables(madeBlocks())
	golden(t, "table.txt", tables.text())
	golden(t, "table.md", tables.markdown(machine{"2026-01-02", "Some CPU", "6.1", "1.26", "5.6", 2}, fullPlan))
}

// A system that was not measured leaves its cells empty and breaks nothing.
func TestTablesOfOneSystem(t *testing.T) {
	text := newTables([]*block{made(0, sysRewatch, 10*time.Microsecond)}).text()
	if !strings.Contains(text, "10.0") || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error(text)
	}
}

func TestPlot(t *testing.T) {
	svg := latencyPlot(madeBlocks(), "udp")
	golden(t, "plot.svg", svg)
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if empty := latencyPlot(nil, "udp"); strings.Contains(empty, "NaN") || strings.Contains(empty, "Inf") {
		t.Error(empty)
	}
}

func TestInsert(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n" + startMark + "\nold\n" + endMark + "\nafter\n")
	text := startMark + "\nnew\n" + endMark + "\n"
	for range 2 { // what was inserted can be replaced
		if err := insert(file, text); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(file); got != "before\n"+text+"after\n" {
		t.Errorf("%q", got)
	}
	write("no marks")
	if insert(file, text) == nil {
		t.Error("a file without marks was taken")
	}
}

func TestSpread(t *testing.T) {
	if s, ok := newSpread([]float64{3, 1, 2}); !ok || s != (spread{2, 1, 3}) {
		t.Error(s)
	}
	if s, _ := newSpread([]float64{1, 2}); s.median != 1.5 {
		t.Error(s)
	}
	if _, ok := newSpread(nil); ok {
		t.Error("nothing has a median")
	}
}

func TestBetterKamailio(t *testing.T) {
	tables := newTables(madeBlocks())
	cpu := quantity{"", false, ofWork(load.Notify, saturatedCPU)}
	if v, _ := tables.value(cpu, 0, "udp", kamailios...); v != 24 {
		t.Errorf("the cheaper one costs %v", v)
	}
	rate := quantity{"", true, ofWork(load.Notify, bestRate)}
	if v, _ := tables.value(rate, 2, "udp", kamailios...); v < 1e9/26000 {
		t.Errorf("the faster one holds %v", v)
	}
}

func TestGood(t *testing.T) {
	clean := load.Counts{Sent: 1000, Answered: 1000}
	lost, behind, slow := clean, clean, clean
	lost.Lost, behind.Behind, slow.Sent = 1, 200, 900
	for name, c := range map[string]struct {
		counts load.Counts
		want   bool
	}{"clean": {clean, true}, "lost": {lost, false}, "a queue at the end": {behind, false}, "the generator was slow": {slow, false}} {
		p := point{asked: 1000, counts: c.counts}
		if p.good(time.Second) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}

func TestDisagreements(t *testing.T) {
	before := metrics{`rewatch_dropped_total{reason="send"}`: 1}
	after := metrics{
		`rewatch_requests_total{method="NOTIFY",side="server"}`:     100,
		`rewatch_responses_total{class="2xx",side="core"}`:          99,
		`rewatch_notify_total{event="presence",result="ok"}`:        100,
		`rewatch_dropped_total{reason="send"}`:                      3,
		`rewatch_refused_total{reason="loop"}`:                      0,
		`rewatch_requests_total{method="SUBSCRIBE",side="server"}x`: 7,
	}
	got := disagreements(load.Notify, load.Counts{Sent: 100, Answered: 100}, before, after)
	if len(got) != 2 || !strings.Contains(got[0], "rose by 99") || !strings.Contains(got[1], "dropped_total rose by 2") {
		t.Errorf("%q", got)
	}
}

func TestReadStat(t *testing.T) {
	c, err := readStat([]byte("StartTime;TotalCallCreated;SuccessfulCall(C);FailedCall(C);Retransmissions(C);\nx;1;0;0;0;\ny;5;4;1;2;\n"))
	if err != nil || c != (sippCounts{5, 4, 1, 2}) {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := readStat(nil); err == nil {
		t.Error("nothing is no statistics")
	}
}

func TestGCShare(t *testing.T) {
	said := "\ngc 1 @0.01s 4%: 0.02+1+0.1 ms clock\ngc 27 @1.204s 2%: 0.05+1.5+0.01 ms clock, 0.1 ms cpu\nmore\n"
	if got := gcShare(said); got != "2% of its CPU time since the start" {
		t.Error(got)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}
