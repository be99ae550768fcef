package simulate

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
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
