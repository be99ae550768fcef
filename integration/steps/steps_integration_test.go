//go:build integration

package steps

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// counted are the packages in which each step is counted: all that a message goes through.
var counted = []string{
	"proxy", "proxy/wire", "proxy/draft", "proxy/observe", "proxy/route", "proxy/socket", "proxy/own", "proxy/metrics", "proxy/transaction",
	"proxy/transport", "proxy/resolve",
	"dialogs", "dialogs/aor", "dialogs/agent", "dialogs/monitor", "dialogs/monitor/ident", "dialogs/monitor/identities",
	"dialogs/monitor/outcome", "dialogs/monitor/periods", "dialogs/monitor/throughput", "dialogs/redelivery",
}

const self = `"rewatch/integration/steps"`

// TestWorkGrowsAsTheMessage: what a peer writes twice as long costs at most about twice the
// work, whatever it is. The work is counted, not timed (testdata/work_test.go has the
// messages); each function and each turn of a loop is a step, and so is each byte that the
// functions of package bytes look at.
func TestWorkGrowsAsTheMessage(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, overlay := t.TempDir(), map[string]string{}
	put := func(file string, text []byte) {
		to := filepath.Join(dir, strconv.Itoa(len(overlay))+".go")
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
		overlay[filepath.Join(root, file)] = to
	}
	for _, pkg := range counted {
		files, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(pkg, err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				put(filepath.Join(pkg, filepath.Base(file)), stepped(t, file))
			}
		}
	}
	messages, err := os.ReadFile("testdata/work_test.go")
	if err != nil {
		t.Fatal(err)
	}
	put("proxy/work_test.go", messages)
	text, _ := json.Marshal(map[string]any{"Replace": overlay})
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", list, "-count=1", "-run", "^TestWork$", "-v", "./proxy") // #nosec G204
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestWork")) {
		t.Error(err)
	}
}

// ofBytes are calls of those functions of package bytes that this package counts.
var ofBytes = regexp.MustCompile(`(^|[^.\w])bytes\.(IndexByte|LastIndexByte|Index|IndexAny|IndexFunc|Contains|ContainsAny|Cut|Clone|Equal|EqualFold|HasPrefix|Trim|TrimLeft|TrimRight|TrimSpace|TrimPrefix|TrimSuffix|ToLower)\(`)

// stepped is a file with a step in each function and each turn of a loop, and with the
// functions of package bytes that count.
func stepped(t *testing.T, file string) []byte {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	// By offsets in the text: comments stay where they are.
	text, err := os.ReadFile(file) // #nosec G304
	if err != nil {
		t.Fatal(err)
	}
	at := map[int]string{set.Position(f.Name.End()).Offset: "; import steps__ " + self}
	step := func(body *ast.BlockStmt) {
		if body != nil {
			at[set.Position(body.Lbrace).Offset+1] = " steps__.Step(); "
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			step(n.Body)
		case *ast.FuncLit:
			step(n.Body)
		case *ast.ForStmt:
			step(n.Body)
		case *ast.RangeStmt:
			step(n.Body)
		}
		return true
	})
	var b bytes.Buffer
	for i, c := range text {
		b.WriteString(at[i])
		b.WriteByte(c)
	}
	text = bytes.ReplaceAll(b.Bytes(), []byte("bytes.Count("), []byte("steps__.CountBytes("))
	all := ofBytes.ReplaceAllString(string(text), "${1}steps__.$2(")
	if strings.Contains(all, "\"bytes\"") {
		all += "\nvar _ = bytes.MinRead\n"
	}
	all += "\nvar _ = steps__.Step\n"
	if _, err := format.Source([]byte(all)); err != nil {
		t.Fatal(file, err)
	}
	return []byte(all)
}
