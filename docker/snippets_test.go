package docker_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"rewatch/cmd/rewatch/config"
	"rewatch/cmd/rewatch/webconfig"
)

var (
	fenced   = regexp.MustCompile("(?s)\n```.*?\n```")
	indented = regexp.MustCompile(`\n\n((?:    .*\n(?:\n    )?)+)`)
	inline   = regexp.MustCompile("`(rewatch|make) ([^`\n]+)`")
)

// A snippet is a kind of text.
type snippet struct {
	begins string
	check  func(t *testing.T, file, text string)
}

// snippets says how each kind of indented text in the guides is checked, by how it begins.
var snippets = []snippet{
	{"make ", eachLine(makes)},
	{"[Service]", sameAs("debian/rewatch.service", "#   ")}, // TestPackage has it in a unit
	{"REWATCH_", takesVariables},
	{"kubectl apply -k ", leadsTo("kubectl apply -k docker/")},
	{"  sed -i ", edits},
	{"rewatch ctl ", eachLine(func(t *testing.T, line string) { // TestPackage runs them
		if !strings.HasPrefix(line, "rewatch ctl ") {
			t.Errorf("what is %q?", line)
		}
	})},
	{"rate(", eachLine(measures)},
	{"tls_server_config:", takesWebConfig},
	{"/var/lib/rewatch/audit.jsonl {", rotates},
	{"loadmodule ", sameAs("lab/kamailio-scscf.cfg", "")},
	{"authCommunity ", sameAs("../integration/snmp_test.go", "")},
}

// TestSnippets: each indented text of a guide is of a kind that is checked.
func TestSnippets(t *testing.T) {
	seen := map[string]bool{}
	for file, text := range guides(t) {
		for _, m := range indented.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			text := strings.ReplaceAll("\n"+strings.TrimRight(m[1], "\n"), "\n    ", "\n")[1:]
			i := slices.IndexFunc(snippets, func(s snippet) bool { return strings.HasPrefix(text, s.begins) })
			if i < 0 {
				t.Errorf("%s: nobody checks\n%s", file, text)
				continue
			}
			seen[snippets[i].begins] = true
			t.Run(fmt.Sprint(file, " ", i), func(t *testing.T) { snippets[i].check(t, file, text) })
		}
	}
	if len(seen) != len(snippets) {
		t.Errorf("only %v were found", slices.Sorted(maps.Keys(seen)))
	}
}

// TestInlineCommands: what a guide names in a sentence is there.
func TestInlineCommands(t *testing.T) {
	for _, text := range guides(t) {
		for _, m := range inline.FindAllStringSubmatch(text, -1) {
			if m[1] == "make" {
				makes(t, "make "+m[2])
			}
		}
	}
}

func eachLine(check func(t *testing.T, line string)) func(t *testing.T, file, text string) {
	return func(t *testing.T, _, text string) {
		t.Helper()
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, " #")
			check(t, strings.TrimSpace(line))
		}
	}
}

// makes looks for the target.
func makes(t *testing.T, line string) {
	t.Helper()
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(line)[1:] {
		name, _, variable := strings.Cut(word, "=")
		found := strings.Contains(string(makefile), "\n"+name+": ")
		if variable {
			found = strings.Contains(string(makefile), "$("+name+")") || regexp.MustCompile(`(?m)^`+name+`\s+[?:]?=`).Match(makefile)
		}
		if !found {
			t.Errorf("%s: the Makefile has no %s", line, name)
		}
	}
}

// sameAs looks for each line in a file of the project that a test runs.
func sameAs(path, prefix string) func(t *testing.T, file, text string) {
	return func(t *testing.T, file, text string) {
		t.Helper()
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
			// Names, addresses and keys are the reader's own.
			shape := regexp.QuoteMeta(prefix) + regexp.MustCompile(`"10\\.0\\.0\\.30"|rewatch|"the (auth|priv) key"`).ReplaceAllString(regexp.QuoteMeta(line), `(?:\S+|"[a-z ]+")`)
			if line != "" && !regexp.MustCompile(`(?m)(^|\s|`+"`"+`)`+shape).Match(content) {
				t.Errorf("%s: %q stands in no line of %s", file, line, path)
			}
		}
	}
}

// takesVariables has the configuration take what is set; files that it names are made.
func takesVariables(t *testing.T, file, text string) {
	t.Helper()
	for block := range strings.SplitSeq(text, "\n\n") {
		if strings.TrimSpace(block) == "" {
			continue
		}
		environ := map[string]string{"REWATCH_SERVER": "sip:127.0.0.1:5070"}
		for _, m := range regexp.MustCompile(`(?m)^(REWATCH_\w+)=(?:'([^']*)'|(\S*))`).FindAllStringSubmatch(block, -1) {
			value := m[2] + m[3]
			if strings.HasSuffix(m[1], "_FILE") {
				value = filepath.Join(t.TempDir(), "secret")
				if err := os.WriteFile(value, []byte("a-secret-of-some-length"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			environ[m[1]] = value
		}
		if _, err := config.Load(environ); err != nil || len(environ) < 2 {
			t.Errorf("%s: %v\n%s", file, err, block)
		}
	}
}

// leadsTo looks whether the path after a command is there.
func leadsTo(command string) func(t *testing.T, file, text string) {
	return func(t *testing.T, file, text string) {
		t.Helper()
		if _, err := os.Stat(strings.TrimPrefix(strings.TrimSpace(text), command)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// edits runs a command on copies of the files beside the guide, and looks whether it
// changes one.
func edits(t *testing.T, file, text string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(file))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-ec", text)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, out)
	}
	if out, err := exec.Command("diff", "-r", dir, filepath.Dir(file)).CombinedOutput(); err == nil {
		t.Errorf("%s: %s changes nothing\n%s", file, text, out)
	}
}

// measures looks whether a query asks for a metric that there is.
func measures(t *testing.T, line string) {
	t.Helper()
	page, err := os.ReadFile("../cmd/rewatch/admin/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`rewatch_\w+`).FindAllString(line, -1) {
		if !strings.Contains(string(page), "`"+name) {
			t.Errorf("%s: there is no %s", line, name)
		}
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		rules := filepath.Join(t.TempDir(), "rules.yaml")
		text := fmt.Sprintf("groups: [{name: g, rules: [{record: r, expr: %q}]}]\n", line)
		if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(promtool, "check", "rules", rules).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}

// rotates has logrotate read a configuration.
func rotates(t *testing.T, file, text string) {
	t.Helper()
	logrotate, err := exec.LookPath("logrotate")
	if err != nil {
		t.Skip("logrotate is missing; docker/lab/install.sh installs it")
	}
	dir := t.TempDir()
	text = strings.ReplaceAll(text, "/var/lib/rewatch/", dir+"/")
	for name, content := range map[string]string{"audit.jsonl": "{}\n", "rewatch": text + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(logrotate, "-d", "-s", filepath.Join(dir, "state"), filepath.Join(dir, "rewatch")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "considering log "+dir+"/audit.jsonl") || strings.Contains(string(out), "error:") {
		t.Errorf("%s: %v\n%s", file, err, out)
	}
}

// takesWebConfig has the admin port take a web config, with a hash in place of the dots.
func takesWebConfig(t *testing.T, file, text string) {
	t.Helper()
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	script := "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout admin.key -out admin.crt"
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text = strings.NewReplacer("$2y$12$...", string(hash), "/etc/rewatch/", dir+"/").Replace(text)
	path := filepath.Join(dir, "web.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := webconfig.Check(path); err != nil || !webconfig.Secure(path) {
		t.Errorf("%s: %v", file, err)
	}
}
