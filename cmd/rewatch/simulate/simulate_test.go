package simulate

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
	"rewatch/policy"
	"rewatch/policy/simulate"
)

var update = flag.Bool("update-simulation", false, "write the golden tables of rewatch simulate anew")

func simulated(t *testing.T, args ...string) string {
	t.Helper()
	var out strings.Builder
	if err := Command(t.Context(), cli.Call{Args: args, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The table of policy/simulate takes a minute; the same at a smaller scale is compared
// to the letter, so that no change of the rules or of the model goes unnoticed.
func TestSimulationOfTheDefaults(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "all.svg")
	got := simulated(t, "-scenario", "all", "-seed", "1", "-watchers", "20000", "-svg", picture)
	const golden = "testdata/simulate.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the table has changed (-update-simulation, and make the one of the README anew); it is\n%s", got)
	}
	wellFormed(t, picture)
}

func wellFormed(t *testing.T, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	d := xml.NewDecoder(f)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestREADMEDefaults: the table has the columns and scenarios of the command, and
// what it is there to show.
func TestREADMEDefaults(t *testing.T) {
	text, err := os.ReadFile("../../../policy/simulate/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- simulate:start -->")
	table, _, ok2 := strings.Cut(rest, "<!-- simulate:end -->")
	if !ok || !ok2 {
		t.Fatal("README.md has no table between <!-- simulate:start --> and <!-- simulate:end -->")
	}
	rows := strings.Split(strings.TrimSpace(table), "\n")
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	if head, _, _ := strings.Cut(markdownTable([][]string{names}), "\n"); rows[0] != head {
		t.Errorf("the head of the table is %s, not %s", rows[0], head)
	}
	wrong := slices.Index(names, "wrongly signed out: obeys") + 1
	for i, s := range selectScenarios(allScenarios) {
		cells := strings.Split(rows[i+2], "|")
		if strings.TrimSpace(cells[1]) != s.Name {
			t.Errorf("row %s is not that of %s", rows[i+2], s.Name)
		}
		if slices.ContainsFunc(cells[wrong:wrong+3], func(cell string) bool { return strings.TrimSpace(cell) != "0" }) {
			t.Errorf("row %s is not that of %s, with nobody signed out wrongly", rows[i+2], s.Name)
		}
	}
}

// TestSizes: the larger of them are in the table of the README, with nobody signed out
// wrongly.
func TestSizes(t *testing.T) {
	var out strings.Builder
	call := cli.Call{Args: []string{"-scenario", "blackout", "-sizes", "-watchers", "100", "-markdown"}, Stdout: &out}
	if err := Command(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if want := "| scenario | 10 | 100 |\n|---|---:|---:|\n| blackout | 0 / 0 / 0 | 0 / 0 / 0 |\n"; out.String() != want {
		t.Errorf("%s", out.String())
	}
	text, err := os.ReadFile("../../../policy/simulate/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- sizes:start -->\n")
	table, _, ok := strings.Cut(rest, "<!-- sizes:end -->")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	if scenarios := selectScenarios(allScenarios); !ok || len(rows) != len(scenarios)+2 {
		t.Fatalf("%d rows for %d scenarios", len(rows), len(scenarios))
	}
	for _, row := range rows[2:] {
		for _, cell := range strings.Split(strings.Trim(row, "| "), " | ")[1:] {
			if cell != "0 / 0 / 0" {
				t.Errorf("row %s", row)
			}
		}
	}
}

func TestSimulateFlagsHaveTheLastWord(t *testing.T) {
	opts, err := parseOptions([]string{
		"-scenario", "deadphones", "-dead-for", "5m", "-threshold", "7", "-outage-ratio", "0.8", "-deregister-cap=0",
		"-count", "recovery", "-message-rate", "50", "-outage-window", "20s",
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := opts.configFor(opts.scenarios[0])
	if err != nil {
		t.Fatal(err)
	}
	if c.Trouble.Dead != 0.01 || c.Trouble.DeadFor != 5*time.Minute || c.Rules.Threshold != 7 || c.Outage.Ratio != 0.8 ||
		c.DeregisterCap != 0 || c.Rules.Count != policy.CountRecovery || c.MessageRate != 50 || c.Outage.Window != 20*time.Second {
		t.Errorf("%+v", c)
	}
}

func TestSimulateTakesTheDefaultsOfTheVariables(t *testing.T) {
	opts, err := parseOptions([]string{"-scenario", "custom"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := opts.configFor(opts.scenarios[0])
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(cli.Environ{"REWATCH_SERVER": "sip:192.0.2.1;transport=udp"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Rules != cfg.Policy.Rules() || c.NotifyTimeout != cfg.Proxy.NotifyTimeout || c.MessageRate != cfg.UAC.MessageRate {
		t.Errorf("%+v", c)
	}
	if names := len(ruleVariables()); names != len(simulatedRules) {
		t.Errorf("%d of %d rules have a variable", names, len(simulatedRules))
	}
}

func TestSimulateMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"-scenario nonsense": "there is no scenario",
		"-speed 3":           "simulate:",
		"outage":             "takes no arguments",
		"-threshold none":    "REWATCH_THRESHOLD",
		"-outage-window x":   "REWATCH_OUTAGE_WINDOW",
		"-watchers 0":        "watchers",
		"-watchers=9 -duration=1s -svg=/nowhere/at/all": "/nowhere",
	} {
		err := Command(t.Context(), cli.Call{Args: strings.Fields(args), Stdout: io.Discard})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestSimulateHelp(t *testing.T) {
	help := simulated(t, "-h")
	for _, s := range simulate.Scenarios() {
		if !strings.Contains(help, s.Summary) {
			t.Errorf("no word of %s", s.Name)
		}
	}
	if !strings.Contains(help, "-coalesce") || !strings.Contains(help, "(500ms)") {
		t.Error(help)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "-", 4900 * time.Millisecond: "4.9s", 90 * time.Second: "1m30s", 10 * time.Minute: "10m",
		time.Hour: "1h", 100 * time.Minute: "1h40m", time.Hour + 10*time.Second: "1h0m10s",
	} {
		if got := readableTime(d); got != want {
			t.Errorf("%s is written %s", d, got)
		}
	}
	for v, want := range map[float64]string{100: "100", 3000: "3,000", 30000: "30k", 6e6: "6M"} {
		if got := shortNumber(v); got != want {
			t.Errorf("%v is written %s", v, got)
		}
	}
	if got := niceTop([]int{0, 130}); got != 200 {
		t.Errorf("a scale to %v for 130", got)
	}
}

// compared are the two rows of a comparison, by column.
func compared(t *testing.T, args ...string) (without, with map[string]string) {
	t.Helper()
	lines := strings.Split(simulated(t, append(args, "-markdown")...), "\n")
	cells := func(line string) (all []string) {
		for c := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			all = append(all, strings.TrimSpace(c))
		}
		return all
	}
	rows := []map[string]string{{}, {}}
	for i, row := range rows {
		for k, v := range cells(lines[i+2]) {
			row[cells(lines[0])[k]] = v
		}
	}
	return rows[0], rows[1]
}

func figure(t *testing.T, row map[string]string, column string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.ReplaceAll(row[column], ",", ""))
	if err != nil {
		t.Fatalf("%s: %v in %v", column, err, row)
	}
	return n
}

// TestRedeliverySideBySide: with redelivery an outage loses no subscription and needs no
// MESSAGE, the core has less to carry, and all are current within kept / rate + 10 s.
func TestRedeliverySideBySide(t *testing.T) {
	args := []string{"-redeliver", "-scenario", "outage", "-watchers", "5000", "-subscriptions", "1", "-notify-every", "10s", "-duration", "10m"}
	without, with := compared(t, args...)
	if figure(t, without, "users without state") < 2000 || figure(t, without, "subscriptions lost") < 2000 || figure(t, without, "delivered") != 0 {
		t.Errorf("without: %v", without)
	}
	delivered := figure(t, with, "delivered")
	if figure(t, with, "subscriptions lost") != 0 || figure(t, with, "MESSAGEs") != 0 || delivered < 2000 {
		t.Errorf("with: %v", with)
	}
	const carried = "requests after the end of the trouble"
	if figure(t, with, carried) >= figure(t, without, carried) || figure(t, with, "peak/s") > 201 {
		t.Errorf("with %v, without %v", with, without)
	}
	last, err := time.ParseDuration(with["last user current after"])
	if limit := time.Duration(delivered/200+10) * time.Second; err != nil || last > limit {
		t.Errorf("the last is current after %s (%v), not within %s", last, err, limit)
	}
}

// TestRedeliveryWithoutRoom: what finds no room is recovered as without redelivery.
func TestRedeliveryWithoutRoom(t *testing.T) {
	without, with := compared(t, "-redeliver=5m", "-max-redeliver", "1MiB", "-watchers", "20000", "-ignore", "0", "-lost", "0", "-duration", "30m")
	if with["REWATCH_REDELIVER"] != "5m" || figure(t, with, "delivered") < 500 {
		t.Errorf("%v", with)
	}
	if lost := figure(t, with, "subscriptions lost"); lost == 0 || lost >= figure(t, without, "subscriptions lost") {
		t.Errorf("with %v, without %v", with, without)
	}
	if with["last user current after"] == "not at the end" {
		t.Errorf("%v", with)
	}
}

// TestREADMEComparison: the table has each scenario both ways, and what it is there to
// show: an outage loses nothing, and asks less of the core.
func TestREADMEComparison(t *testing.T) {
	text, err := os.ReadFile("../../../policy/simulate/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- redeliver:start -->\n")
	table, _, ok := strings.Cut(rest, "<!-- redeliver:end -->")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	scenarios := selectScenarios(allScenarios)
	if !ok || len(rows) != 2*len(scenarios)+2 {
		t.Fatalf("%d rows for %d scenarios", len(rows), len(scenarios))
	}
	for i, s := range scenarios {
		for _, row := range rows[2*i+2 : 2*i+4] {
			if !strings.HasPrefix(row, "| "+s.Name+" | ") {
				t.Errorf("%s is not of %s", row, s.Name)
			}
		}
		if cells := strings.Split(rows[2*i+3], " | "); (s.Name == "outage" || s.Name == "standard") && (cells[3] != "0" || cells[6] != "0") {
			t.Errorf("%s: subscriptions are lost, or MESSAGEs needed", rows[2*i+3])
		}
	}
}
