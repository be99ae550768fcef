package manual

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"rewatch/cmd/rewatch/config"
)

var commands = []Command{
	{"help", "print this", nil},
	{"health", "is it alive? it's: yes", []string{"-ready"}},
}

// TestPage: every command and variable has its entry, and no text is taken for a
// request.
func TestPage(t *testing.T) {
	page := Page("v1.2.3", commands)
	for _, v := range config.Variables() {
		if !strings.Contains(page, "\n.B "+v.Name+"\n") {
			t.Errorf("no entry for %s", v.Name)
		}
	}
	if !strings.Contains(page, "\n.B health \\-ready\nis it alive? it\\(aqs: yes\n") {
		t.Errorf("no entry for health in\n%s", page)
	}
	requests := []string{".TH", ".SH", ".SS", ".TP", ".B", ".BR", ".I", ".RI", ".PP", ".br", ".ad", ".nh"}
	for line := range strings.Lines(page) {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(word, ".") && !slices.Contains(requests, word) || strings.HasPrefix(line, "'") {
			t.Errorf("taken for a request: %q", line)
		}
	}
}

// TestBashCompletion asks bash itself.
func TestBashCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	for line, want := range map[string]string{
		"rewatch he":            "help health",
		"rewatch health ":       "-ready",
		"rewatch help ":         "",
		"rewatch health -ready": "-ready",
	} {
		words := strings.Split(line, " ")
		script := Completion("bash", commands) + `
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rewatch; echo "${COMPREPLY[*]}"`
		out, err := exec.Command(bash, append([]string{"-euc", script, "bash"}, words...)...).CombinedOutput()
		if err != nil && want != "" || strings.TrimSpace(string(out)) != want {
			t.Errorf("%q: %q, %v, want %q", line, out, err, want)
		}
	}
}

func TestCompletionIsThereForEveryShell(t *testing.T) {
	for _, shell := range Shells {
		if text := Completion(shell, commands); !strings.Contains(text, "health") || !strings.Contains(text, "-ready") {
			t.Errorf("%s: %q", shell, text)
		}
	}
	if Completion("csh", commands) != "" {
		t.Error("a script for a shell that is not known")
	}
}
