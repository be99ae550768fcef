package cli

import (
	"bytes"
	"errors"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

func TestNoArguments(t *testing.T) {
	if err := (Call{}).NoArguments("run"); err != nil {
		t.Error(err)
	}
	err := Call{Args: []string{"-x"}}.NoArguments("run")
	if _, usage := errors.AsType[UsageError](err); !usage || !strings.Contains(err.Error(), `"-x"`) {
		t.Errorf("%v", err)
	}
}

func TestWrapped(t *testing.T) {
	if got := Wrapped("one two three ünïcödé", 9); !slices.Equal(got, []string{"one two", "three", "ünïcödé"}) {
		t.Errorf("%q", got)
	}
	if got := Wrapped("", 9); !slices.Equal(got, []string{""}) {
		t.Errorf("%q", got)
	}
}

// Nothing but a terminal gets colours.
func TestColourful(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if Colourful(&bytes.Buffer{}, false) || Colourful(f, false) || Colourful(f, true) {
		t.Error("a file has colours")
	}
}

func TestVersion(t *testing.T) {
	defer func(was string) { version = was }(version)
	version = ""
	if ShortVersion() != "devel" || !strings.HasPrefix(Version(), "rewatch ") {
		t.Errorf("%s, %s", ShortVersion(), Version())
	}
	version = "v1.2.3"
	if ShortVersion() != "v1.2.3" || !strings.HasPrefix(Version(), "rewatch v1.2.3") {
		t.Errorf("%s, %s", ShortVersion(), Version())
	}
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}}
	if got := vcs(info); got != " (0123456789ab, modified)" {
		t.Error(got)
	}
	if got := vcs(&debug.BuildInfo{}); got != "" {
		t.Error(got)
	}
}
