// Package prometheus_test keeps the alert rules, their tests and the runbook together.
package prometheus_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rewatch/policy/alarm"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	alertName = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	runbook   = regexp.MustCompile(`(?m)^ +runbook_url: https://runbooks\.example/runbook\.md#([\w-]+)$`)
	section   = regexp.MustCompile(`(?m)^## ([\w-]+)$`)
	expected  = regexp.MustCompile(`alertname: (\w+)\n +exp_alerts:( \[\])?\n`)
)

// found lists the first group of each match.
func found(re *regexp.Regexp, text string) []string {
	var all []string
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestRunbook: every alert leads to a section, every alarm has one, and a section says
// what an operator wants to know.
func TestRunbook(t *testing.T) {
	rules, book := read(t, "rewatch.rules.yaml"), read(t, "../runbook.md")
	alerts, links, sections := found(alertName, rules), found(runbook, rules), found(section, book)
	if len(alerts) < 10 || len(links) != len(alerts) {
		t.Errorf("%d alerts, %d links to the runbook", len(alerts), len(links))
	}
	for _, name := range slices.Concat(links, alarm.Names()) {
		if !slices.Contains(sections, name) {
			t.Errorf("the runbook has no section %s", name)
		}
	}
	for _, text := range section.Split(book, -1)[1:] {
		for _, want := range []string{"\n**Means.** ", "\n**Users see** ", "\n**Check", "**Do.** ", "**Do not** "} {
			if !strings.Contains(text, want) && (want != "**Do.** " || !strings.Contains(text, "**do** as for")) {
				t.Errorf("no %q in the section that begins\n%.120s", strings.TrimSpace(want), text)
			}
		}
	}
}

// TestEachAlertIsTested: the tests of promtool see each alert fire and resolve.
func TestEachAlertIsTested(t *testing.T) {
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, m := range expected.FindAllStringSubmatch(read(t, "rewatch.rules.test.yaml"), -1) {
		if m[2] == "" {
			fires[m[1]] = true
		} else {
			rests[m[1]] = true
		}
	}
	for _, name := range found(alertName, read(t, "rewatch.rules.yaml")) {
		if !fires[name] || !rests[name] {
			t.Errorf("%s: fires in a test: %v, rests in one: %v", name, fires[name], rests[name])
		}
	}
}

// TestRules has promtool check the rules and run their tests.
func TestRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is missing; docker/lab/install.sh installs it")
	}
	for _, args := range [][]string{{"check", "rules", "rewatch.rules.yaml"}, {"test", "rules", "rewatch.rules.test.yaml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
