package config

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rewatch/cmd/rewatch/cli"
)

// With UPDATE_README=1 TestREADME writes the table instead of comparing it.
const updateREADME = "UPDATE_README"

// TestREADME keeps the table of the README true: it is printed by
// "rewatch env -markdown".
func TestREADME(t *testing.T) {
	const file = "README.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const start, end = "<!-- env:start -->", "<!-- env:end -->"
	before, rest, ok := strings.Cut(string(text), start)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("README.md has no table between %s and %s", start, end)
	}
	if os.Getenv(updateREADME) != "" {
		whole := before + start + "\n" + envMarkdown() + end + after
		if err := os.WriteFile(file, []byte(whole), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if strings.TrimSpace(table) != strings.TrimSpace(envMarkdown()) {
		t.Error("the table of README.md is not that of \"rewatch env -markdown\"; write it with " + updateREADME + "=1")
	}
}

func TestEveryVariableIsDescribed(t *testing.T) {
	var names []string
	for _, v := range Variables() {
		if v.Doc == "" || v.Group == "" || strings.HasSuffix(v.Name, "_") {
			t.Errorf("%+v", v)
		}
		names = append(names, v.Name)
	}
	slices.Sort(names)
	if n := len(slices.Compact(slices.Clone(names))); n != len(names) {
		t.Error("a name is used twice")
	}
}

func TestEnvTextShowsWhatIsInEffect(t *testing.T) {
	text := envText(cli.Environ{ //nolint:gosec // Made up.
		"REWATCH_THRESHOLD":        "5",
		"REWATCH_ADMIN_TOKEN":      "geheim",
		"REWATCH_ALARM_WEBHOOK":    "https://u:geheim@hook.example/x",
		"REWATCH_MESSAGE_TEMPLATE": "a\nb",
	})
	for _, want := range []string{"* REWATCH_THRESHOLD             5 ", "  REWATCH_COUNT                 registration ", `a\nb`, "https://******@hook.example/******"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "geheim") {
		t.Error("a secret is shown")
	}
}

// TestEnvFile: every variable is there once, and without its # it means the same as not
// set.
func TestEnvFile(t *testing.T) {
	environ := cli.Environ{"REWATCH_SERVER": "sip:127.0.0.1:5070", "REWATCH_ADVERTISE": "127.0.0.1"}
	want, err := Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(envFile()) {
		if strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "## ") || line == "\n" {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		name, ok2 := strings.CutPrefix(name, "#")
		if !ok || !ok2 || value[0] != '\'' || value[len(value)-1] != '\'' || strings.Contains(value[1:len(value)-1], "'") {
			t.Fatalf("neither a comment nor a variable: %q", line)
		}
		names = append(names, name)
		if value != "''" {
			environ[name] = value[1 : len(value)-1]
		}
	}
	var all []string
	for _, v := range Variables() {
		all = append(all, v.Name)
	}
	if !slices.Equal(names, all) {
		t.Errorf("%v, want %v", names, all)
	}
	got, err := Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the defaults as they are written down are not the defaults:\n%+v\n%+v", got, want)
	}
}
