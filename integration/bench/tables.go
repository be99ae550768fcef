package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rewatch/integration/load"
)

// quantity is one thing that is compared.
type quantity struct {
	name string
	most bool // more is better
	of   func(b *block, base *block) float64
}

func us(d time.Duration) float64 { return float64(d) / 1e3 }

// added is what a system adds to the latency of the generator alone.
func added(pick func(point) time.Duration) func(b, base *block) float64 {
	return func(b, base *block) float64 {
		d := pick(b.works[load.Notify].moderate)
		if base != nil {
			d -= pick(base.works[load.Notify].moderate)
		}
		return us(max(d, 0))
	}
}

func ofWork(k load.Kind, pick func(*figures) float64) func(b, _ *block) float64 {
	return func(b, _ *block) float64 { return pick(b.works[k]) }
}

func moderateCPU(f *figures) float64  { return us(f.moderate.cpu) }
func saturatedCPU(f *figures) float64 { return us(f.saturated.cpu) }
func variedCPU(f *figures) float64    { return us(f.varied.cpu) }
func bestRate(f *figures) float64     { return f.best }

// quantities are the rows of the table, for one transport.
func quantities() []quantity {
	var list []quantity
	for _, k := range []load.Kind{load.Notify, load.Subscribe, load.Register} {
		list = append(list, quantity{fmt.Sprintf("%s: CPU saturated, µs", k), false, ofWork(k, saturatedCPU)})
		if k == load.Notify {
			list = append(list, quantity{"NOTIFY: the same, of lengths that differ, µs", false, ofWork(k, variedCPU)})
		}
		list = append(list,
			quantity{fmt.Sprintf("%s: CPU at 2,000/s, µs", k), false, ofWork(k, moderateCPU)},
			quantity{fmt.Sprintf("%s: highest rate without loss, 1/s", k), true, ofWork(k, bestRate)},
		)
	}
	return append(list,
		quantity{"NOTIFY: latency added at 2,000/s, p50, µs", false, added(func(p point) time.Duration { return p.p50 })},
		quantity{"NOTIFY: latency added at 2,000/s, p99, µs", false, added(func(p point) time.Duration { return p.p99 })},
		quantity{"NOTIFY: latency added at 2,000/s, p99.9, µs", false, added(func(p point) time.Duration { return p.p999 })},
		quantity{"Memory with 20,000 dialogs, at 2,000/s, MB", false, func(b, _ *block) float64 { return float64(b.memory) / 1e6 }},
	)
}

// spread is a median with the least and the greatest.
type spread struct{ median, least, most float64 }

func newSpread(v []float64) (s spread, ok bool) {
	if len(v) == 0 {
		return s, false
	}
	v = slices.Sorted(slices.Values(v))
	s.least, s.most = v[0], v[len(v)-1]
	s.median = (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	return s, true
}

// tables are the blocks of a run by round, transport and system.
type tables struct {
	blocks   map[string]*block
	rounds   int
	networks []string
}

func blockKey(round int, network, system string) string {
	return fmt.Sprint(round, " ", network, " ", system)
}

func newTables(blocks []*block) *tables {
	t := &tables{blocks: map[string]*block{}}
	for _, b := range blocks {
		t.blocks[blockKey(b.round, b.network, b.system)] = b
		t.rounds = max(t.rounds, b.round+1)
		if !slices.Contains(t.networks, b.network) {
			t.networks = append(t.networks, b.network)
		}
	}
	return t
}

// value is a quantity of one system in one round; of several systems it is the
// better one, so that Kamailio is taken with the number of children that suits it.
func (t *tables) value(q quantity, round int, network string, systems ...string) (best float64, ok bool) {
	for _, s := range systems {
		b := t.blocks[blockKey(round, network, s)]
		if b == nil {
			continue
		}
		v := q.of(b, t.blocks[blockKey(round, network, alone)])
		if v == 0 {
			continue // not measured
		}
		if !ok || q.most && v > best || !q.most && v < best {
			best, ok = v, true
		}
	}
	return best, ok
}

// column is the quantity over all rounds, or its ratio to that of others.
func (t *tables) column(q quantity, network string, of, to []string) (spread, bool) {
	var list []float64
	for round := range t.rounds {
		v, ok := t.value(q, round, network, of...)
		if !ok {
			continue
		}
		if to == nil {
			list = append(list, v)
		} else if base, ok := t.value(q, round, network, to...); ok {
			list = append(list, v/base)
		}
	}
	return newSpread(list)
}

var (
	relays    = []string{sysRelay}
	rewatches = []string{sysRewatch}
	kamailios = []string{sysKamailio1, sysKamailio2}
)

var titles = []string{"", "relay", "rewatch", "Kamailio", "rewatch / relay", "rewatch / Kamailio"}

// rows gives the cells of the table of one transport.
func (t *tables) rows(network string) [][]string {
	list := [][]string{append([]string{strings.ToUpper(network)}, titles[1:]...)}
	for _, q := range quantities() {
		row := []string{q.name}
		for _, systems := range [][]string{relays, rewatches, kamailios} {
			row = append(row, cell(t.column(q, network, systems, nil)))
		}
		for _, base := range [][]string{relays, kamailios} {
			row = append(row, ratio(t.column(q, network, rewatches, base)))
		}
		list = append(list, row)
	}
	return list
}

func cell(s spread, ok bool) string {
	switch {
	case !ok:
		return "-"
	case s.median >= 1000:
		return thousands(int(s.median))
	default:
		return fmt.Sprintf("%.1f", s.median)
	}
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// ratio shows a median with the least and the greatest, if there are several.
func ratio(s spread, ok bool) string {
	switch {
	case !ok:
		return "-"
	case s.least == s.most:
		return fmt.Sprintf("%.2f", s.median)
	default:
		return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.least, s.most)
	}
}
