// Package agent tells the software of clients apart by their User-Agent: which family
// it is of, how many there are of each, and how the operator wants it told.
package agent

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
)

// Family is the name of the software, without version and device: what stands before
// the first slash, blank or bracket. Empty is "unknown".
func Family(userAgent string) string {
	if i := strings.IndexAny(userAgent, "/ (\t"); i >= 0 {
		userAgent = userAgent[:i]
	}
	return cmp.Or(userAgent, "unknown")
}

const (
	// maxFamilies bounds those that are told apart; all beyond them are one.
	maxFamilies = 64
	// Rest is the name of that one.
	Rest = "other"
)

// Table has something for each family. It is safe for concurrent use.
type Table[T any] struct {
	mu       sync.Mutex
	families map[string]*T
}

// Change changes what is kept of the family of a User-Agent.
func (t *Table[T]) Change(userAgent string, change func(*T)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.families == nil {
		t.families = make(map[string]*T)
	}
	family := Family(userAgent)
	v := t.families[family]
	if v == nil && len(t.families) >= maxFamilies {
		family = Rest
		v = t.families[family]
	}
	if v == nil {
		v = new(T)
		t.families[strings.Clone(family)] = v
	}
	change(v)
}

// All copies what is kept of each family.
func (t *Table[T]) All() map[string]T {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[string]T, len(t.families))
	for family, v := range t.families {
		all[family] = *v
	}
	return all
}

// Signal is how a client is told that a subscription broke.
type Signal struct{ Message, Notify bool }

// Rule is how clients are told whose User-Agent a pattern fits.
type Rule struct {
	Pattern string // with * and ?, in any case of letters
	Signal  Signal
}

// Rules are the operator's, the first that fits is the one.
type Rules []Rule

// For gives the signal for a User-Agent, which is otherwise if no rule fits.
func (r Rules) For(userAgent string, otherwise Signal) Signal {
	// path.Match stops at slashes, which stand before the version.
	name := strings.ToLower(strings.ReplaceAll(userAgent, "/", "\x00"))
	i := slices.IndexFunc(r, func(rule Rule) bool {
		ok, _ := path.Match(strings.ToLower(strings.ReplaceAll(rule.Pattern, "/", "\x00")), name)
		return ok
	})
	if i < 0 {
		return otherwise
	}
	return r[i].Signal
}

// Families lists the names in a table, sorted.
func Families[T any](all map[string]T) []string { return slices.Sorted(maps.Keys(all)) }
