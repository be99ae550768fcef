package docker_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link  = regexp.MustCompile(`\]\(([^)#:]+)(#[\w-]+)?\)`)
	block = regexp.MustCompile("(?s)\n```(sh|xml)\n(.*?)\n```\n")
)

// guides are all pages for operators.
func guides(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all[file] = string(text)
		}
	}
	if len(all) < 10 {
		t.Fatalf("%d guides", len(all))
	}
	return all
}

// TestGuidesLead: every link leads to a file, and the index leads to every guide.
func TestGuidesLead(t *testing.T) {
	all := guides(t)
	for file, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		if !strings.Contains(file, "/") && file != "README.md" && !strings.Contains(all["README.md"], "("+file+")") {
			t.Errorf("README.md does not lead to %s", file)
		}
	}
}

// TestGuidesAreWellFormed: what is XML is, and the shell takes the commands.
func TestGuidesAreWellFormed(t *testing.T) {
	for file, text := range guides(t) {
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			if m[1] == "sh" {
				cmd := exec.Command("sh", "-n")
				cmd.Stdin = strings.NewReader(m[2])
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s\n%s", file, err, out, m[2])
				}
				continue
			}
			d := xml.NewDecoder(strings.NewReader(m[2]))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Errorf("%s: %v", file, err)
					break
				}
			}
		}
	}
}

// TestFilterCriteria: the criteria of the guide have the elements of TS 29.228 annex E in
// its order, and each says what to do when rewatch does not answer.
func TestFilterCriteria(t *testing.T) {
	m := regexp.MustCompile("(?s)\n```xml\n(.*?)\n```\n").FindStringSubmatch(guides(t)["ims.md"])
	if m == nil {
		t.Fatal("no XML")
	}
	var profile struct {
		Criteria []struct {
			Priority int
			Trigger  struct {
				CNF int `xml:"ConditionTypeCNF"`
				SPT []struct {
					Negated int `xml:"ConditionNegated"`
					Group   []int
					Method  string
				}
			} `xml:"TriggerPoint"`
			Server struct {
				Name    string `xml:"ServerName"`
				Default *int   `xml:"DefaultHandling"`
			} `xml:"ApplicationServer"`
		} `xml:"InitialFilterCriteria"`
	}
	if err := xml.Unmarshal([]byte(m[1]), &profile); err != nil {
		t.Fatal(err)
	}
	methods := map[string]bool{}
	for _, c := range profile.Criteria {
		if c.Priority == 0 || c.Server.Default == nil || !strings.HasPrefix(c.Server.Name, "sip:") || c.Trigger.CNF != 1 {
			t.Errorf("%+v", c)
		}
		for _, spt := range c.Trigger.SPT {
			if len(spt.Group) != 1 {
				t.Errorf("a trigger point without a group: %+v", spt)
			}
			methods[spt.Method] = true
		}
	}
	if !methods["REGISTER"] || !methods["SUBSCRIBE"] || !methods["PUBLISH"] || methods["MESSAGE"] || methods["NOTIFY"] {
		t.Errorf("triggers are %v", methods)
	}
}
