package check

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"rewatch/cmd/rewatch/cli"
	"rewatch/dialogs/store/bolt"
)

// check runs the command and gives what it writes.
func check(t *testing.T, environ cli.Environ, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	all := cli.Environ{"REWATCH_SERVER": "sip:127.0.0.1:5070;transport=udp", "REWATCH_ADVERTISE": "127.0.0.1", "REWATCH_LISTEN": "udp://127.0.0.1:5060"}
	maps.Copy(all, environ)
	err := Command(t.Context(), cli.Call{Args: args, Environ: all, Stdout: &out})
	return out.String(), err
}

func TestCommand(t *testing.T) {
	if out, err := check(t, nil); err != nil || !strings.HasSuffix(out, "The configuration is good.\n") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err := check(t, cli.Environ{"REWATCH_THRESHOLD": "x"})
	if !errors.Is(err, cli.ErrReported) || !strings.Contains(out, "REWATCH_THRESHOLD") || !strings.Contains(out, "1 thing is wrong.\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := check(t, nil, "-x"); err == nil {
		t.Error("an argument is taken")
	}
}

// What REWATCH_STATE names is looked at and left as it is.
func TestState(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	used := filepath.Join(dir, "used.db")
	s, err := bolt.Open(used, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	redis := miniredis.RunT(t)
	for state, want := range map[string]string{
		"memory:":                            "ok     REWATCH_STATE",
		"file:" + filepath.Join(dir, "new"):  "is there",
		"file:" + used:                       "in use by another process",
		"file:" + file("text", "my notes\n"): "not a state file",
		"file:" + file("zeros", strings.Repeat("\x00", 8192)): "the next start moves it aside",
		"file:" + filepath.Join(dir, "none", "state.db"):      "no such file",
		"file:" + filepath.Join(file("plain", "x"), "s"):      "not a directory",
		"redis://" + redis.Addr():                             "is there",
		"redis://127.0.0.1:1":                                 "refused",
	} {
		out, err := check(t, cli.Environ{"REWATCH_STATE": state})
		line := ""
		for l := range strings.Lines(out) {
			if strings.Contains(l, "REWATCH_STATE") {
				line = l
			}
		}
		if !strings.Contains(line, want) || (err != nil) != strings.HasPrefix(line, "WRONG") {
			t.Errorf("%s: %v, %q\nwant %q", state, err, line, want)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*unreadable*")); len(found) != 0 {
		t.Errorf("moved aside: %v", found)
	}
}

// TestStateOfTheService: whoever sources the package's environment file is told of the
// state that the service sets beside it.
func TestStateOfTheService(t *testing.T) {
	const unit = "../../../docker/debian/rewatch.service"
	if got, want := ofService(unit), "; rewatch.service has file:/var/lib/rewatch/state.db where the variable is not set"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for name, text := range map[string]string{"none.service": "", "other.service": "[Service]\nExecStart=/usr/bin/rewatch\n"} {
		file := filepath.Join(t.TempDir(), name)
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := ofService(file); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestWhomTheHookEnds: a device, or the user with all devices, which wants a warning unless
// that is what the operator means.
func TestWhomTheHookEnds(t *testing.T) {
	const whole = "DELETE http://127.0.0.1:9886/impu/{aor}"
	for want, env := range map[string]cli.Environ{
		"  ends the device that is lost":   {"REWATCH_DEREGISTER_HOOK": whole + "?contact={contact}"},
		"  ends the device that is lost (": {"REWATCH_DEREGISTER_HOOK": "POST http://127.0.0.1:9886/", "REWATCH_DEREGISTER_HOOK_BODY": `{"c":"{contact}"}`},
		"  warning: without {contact}":     {"REWATCH_DEREGISTER_HOOK": whole},
		"  ends all devices of a user\n":   {"REWATCH_DEREGISTER_HOOK": whole, "REWATCH_DEREGISTER": "all"},
	} {
		out, err := check(t, env)
		_, line, _ := strings.Cut(out, "REWATCH_DEREGISTER_HOOK")
		if err != nil || !strings.Contains(line, want) {
			t.Errorf("%v\n%s\nwant %q", err, out, want)
		}
	}
}

// TestHowLongIsKept warns of a REWATCH_REDELIVER that is legal and of no use.
func TestHowLongIsKept(t *testing.T) {
	for want, env := range map[string]cli.Environ{
		"  a NOTIFY is kept for 10m0s": {"REWATCH_REDELIVER": "10m"},
		"  warning: after 1s a NOTIFY": {"REWATCH_REDELIVER": "1s"},
		"  warning: nothing is kept":   {"REWATCH_REDELIVER": "10m", "REWATCH_ANSWER": "passthrough"},
	} {
		out, err := check(t, env)
		_, line, _ := strings.Cut(out, "REWATCH_REDELIVER")
		if err != nil || !strings.Contains(line, want) {
			t.Errorf("%v\n%s\nwant %q", err, out, want)
		}
	}
	if out, err := check(t, nil); err != nil || strings.Contains(out, "REWATCH_REDELIVER") {
		t.Errorf("%v\n%s", err, out)
	}
}
