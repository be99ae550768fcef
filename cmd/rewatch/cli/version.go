package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the release build: -ldflags "-X rewatch/cmd/rewatch/cli.version=v1.2.3".
var version = ""

// ShortVersion is the version for User-Agent and the metrics, such as "v1.2.3"; "devel" if the build
// has none.
func ShortVersion() string {
	if version == "" {
		return "devel"
	}
	return version
}

// Version is one line that tells which build this is: version, revision as Go has noted it in the
// binary, version of Go, and system.
func Version() string {
	v, revision := version, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		revision = vcs(info)
	}
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	return fmt.Sprintf("rewatch %s%s %s %s/%s", v, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func vcs(info *debug.BuildInfo) string {
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = ", modified"
		}
	}
	if revision == "" {
		return ""
	}
	return " (" + revision + modified + ")"
}
