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
// with proxy/wire, proxy/transport and proxy/resolve as leaves, and policy on
// nothing but the standard library.
func TestImportsRunOneWay(t *testing.T) {
	never := map[string][]string{
		"rewatch/policy":          {"rewatch/", "github.com/", "golang.org/x/"},
		"rewatch/policy/outage":   {"rewatch/", "github.com/", "golang.org/x/"},
		"rewatch/policy/alarm":    {"rewatch/proxy", "rewatch/dialogs", "rewatch/cmd"},
		"rewatch/dialogs":         {"rewatch/proxy", "rewatch/cmd", "github.com/emiago/sipgo"},
		"rewatch/proxy/wire":      {"rewatch/", "github.com/"},
		"rewatch/proxy/transport": {"rewatch/", "github.com/"},
		"rewatch/proxy/resolve":   {"rewatch/", "github.com/"},
		"rewatch/proxy":           {"rewatch/cmd", "rewatch/proxy/uac", "github.com/emiago/sipgo"},
		"rewatch/proxy/uac":       {"rewatch/cmd", "rewatch/proxy/transport"},
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

// deps lists what a package is built from.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}
