package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImportsRunOneWay keeps the picture of the house true:
//
//	cmd -> proxy -> dialogs -> policy
//
// with proxy/wire and proxy/transport as leaves, proxy/resolve on wire, and policy on
// nothing but the standard library.
func TestImportsRunOneWay(t *testing.T) {
	never := map[string][]string{
		"rewatch/policy":               {"rewatch/", "github.com/", "golang.org/x/"},
		"rewatch/policy/outage":        {"rewatch/", "github.com/", "golang.org/x/"},
		"rewatch/policy/alarm":         {"rewatch/proxy", "rewatch/dialogs", "rewatch/cmd"},
		"rewatch/dialogs":              {"rewatch/proxy", "rewatch/cmd", "rewatch/dialogs/monitor", "rewatch/dialogs/recovery", "github.com/emiago/sipgo"},
		"rewatch/dialogs/fallback":     {"rewatch/proxy", "rewatch/cmd", "rewatch/dialogs/monitor", "rewatch/dialogs/recovery", "github.com/emiago/sipgo"},
		"rewatch/dialogs/aor":          {"rewatch/", "github.com/"},
		"rewatch/dialogs/count":        {"rewatch/"},
		"rewatch/dialogs/monitor/...":  {"rewatch/proxy", "rewatch/cmd", "rewatch/dialogs/recovery", "github.com/emiago/sipgo"},
		"rewatch/dialogs/recovery/...": {"rewatch/proxy", "rewatch/cmd", "rewatch/dialogs/monitor", "github.com/emiago/sipgo"},
		"rewatch/dialogs/store/...":    {"rewatch/proxy", "rewatch/cmd", "rewatch/dialogs/monitor", "rewatch/dialogs/recovery"},

		"rewatch/dialogs/monitor/slab": {"rewatch/", "github.com/"},

		"rewatch/proxy/wire":               {"rewatch/", "github.com/"},
		"rewatch/proxy/transport":          {"rewatch/cmd", "rewatch/dialogs", "rewatch/policy", "rewatch/proxy/wire", "rewatch/proxy/transport/datagram", "github.com/"},
		"rewatch/proxy/transport/datagram": {"rewatch/cmd", "rewatch/dialogs", "rewatch/policy", "rewatch/proxy/wire", "github.com/"},
		"rewatch/proxy/transport/netaddr":  {"rewatch/", "github.com/"},
		"rewatch/proxy/resolve":            {"rewatch/cmd", "rewatch/dialogs", "rewatch/policy", "rewatch/proxy/transport", "github.com/"},
		"rewatch/proxy/draft":              {"rewatch/cmd", "rewatch/dialogs", "rewatch/policy", "rewatch/proxy/resolve", "rewatch/proxy/transport", "github.com/"},
		"rewatch/proxy/health":             {"rewatch/cmd", "rewatch/dialogs", "rewatch/policy", "rewatch/proxy/draft", "rewatch/proxy/transport", "github.com/"},
		"rewatch/proxy/recent":             {"rewatch/"},
		"rewatch/proxy/route":              {"rewatch/cmd", "rewatch/proxy/observe", "rewatch/proxy/socket", "rewatch/proxy/transaction", "rewatch/proxy/transport", "rewatch/proxy/uac"},
		"rewatch/proxy/socket":             {"rewatch/cmd", "rewatch/proxy/observe", "rewatch/proxy/transaction", "rewatch/proxy/uac"},
		"rewatch/proxy/own":                {"rewatch/cmd", "rewatch/proxy/metrics", "rewatch/proxy/observe", "rewatch/proxy/transaction", "rewatch/proxy/uac"},
		"rewatch/proxy/metrics":            {"rewatch/cmd", "rewatch/proxy/observe", "rewatch/proxy/own", "rewatch/proxy/uac"},
		"rewatch/proxy/transaction":        {"rewatch/cmd", "rewatch/dialogs", "rewatch/policy", "rewatch/proxy/draft", "rewatch/proxy/transport", "github.com/"},
		"rewatch/proxy":                    {"rewatch/cmd", "rewatch/proxy/uac", "rewatch/dialogs/monitor", "rewatch/dialogs/recovery", "rewatch/dialogs/store", "github.com/emiago/sipgo"},
		"rewatch/proxy/uac":                {"rewatch/cmd", "rewatch/proxy/transport", "rewatch/dialogs/monitor", "rewatch/dialogs/recovery", "rewatch/dialogs/store"},
		"rewatch/proxy/capture":            {"rewatch/cmd", "rewatch/policy", "rewatch/proxy/draft", "rewatch/proxy/resolve", "rewatch/proxy/transaction", "rewatch/proxy/transport", "github.com/"},
	}
	for pkg, forbidden := range never {
		for _, dep := range deps(t, pkg) {
			if dep == pkg {
				continue
			}
			if i := slices.IndexFunc(forbidden, func(f string) bool { return strings.HasPrefix(dep, f) }); i >= 0 {
				t.Errorf("%s imports %s", pkg, dep)
			}
		}
	}
}

// TestRoomsOfTheCommand keeps the packages of the command apart. Only what a package
// imports itself counts here: config may use a parser of proxy/uac, and admin may use
// config.
func TestRoomsOfTheCommand(t *testing.T) {
	const cmd, peers = "rewatch/cmd/rewatch", "rewatch/integration/peers"
	never := map[string][]string{
		cmd + "/cli":      {"rewatch/"},
		cmd + "/config":   {cmd + "/admin", cmd + "/check", cmd + "/demo", cmd + "/sidecar", cmd + "/simulate"},
		cmd + "/admin":    {"rewatch/proxy", "rewatch/dialogs", "rewatch/policy", cmd + "/sidecar"},
		cmd + "/check":    {cmd + "/admin", cmd + "/sidecar"},
		cmd + "/health":   {"rewatch/proxy", "rewatch/dialogs", "rewatch/policy", cmd + "/admin", cmd + "/sidecar"},
		cmd + "/limits":   {"rewatch/"},
		cmd + "/manual":   {"rewatch/proxy", "rewatch/dialogs", "rewatch/policy", cmd + "/admin", cmd + "/sidecar"},
		cmd + "/simulate": {"rewatch/proxy", "rewatch/dialogs/monitor", "rewatch/dialogs/recovery", "rewatch/dialogs/store", cmd + "/admin", cmd + "/sidecar"},
		cmd:               {"rewatch/proxy", "rewatch/dialogs", "rewatch/policy"},
	}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, cmd+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg, imports := words[0], words[1:]
		for _, dep := range imports {
			if slices.ContainsFunc(never[pkg], func(f string) bool { return strings.HasPrefix(dep, f) }) {
				t.Errorf("%s imports %s", pkg, dep)
			}
			if strings.HasPrefix(dep, "rewatch/integration") && (pkg != cmd+"/demo" || dep != peers) {
				t.Errorf("%s imports %s; only demo may use %s", pkg, dep, peers)
			}
		}
	}
}

// deps lists what a package is built from.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}
