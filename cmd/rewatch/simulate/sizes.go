package simulate

import (
	"context"
	"fmt"
	"io"
	"strings"

	"rewatch/policy/simulate"
)

// sizes are the numbers of watchers of the networks that are compared, from an office to a country.
var sizes = []int{10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000}

// oneHop: a network with at most so many watchers has one next hop.
const oneHop = 10_000

// printSizes prints, for each scenario and size, how many were signed out whose phone works:
// of those who obey the MESSAGE, the deaf, and the lost.
func (o *options) printSizes(ctx context.Context, w io.Writer) error {
	rows := [][]string{{"scenario"}}
	for _, n := range o.compared() {
		rows[0] = append(rows[0], thousands(n))
	}
	for _, s := range o.scenarios {
		row := []string{s.Name}
		for _, n := range o.compared() {
			cfg, err := o.configFor(s)
			if err != nil {
				return err
			}
			if cfg.Watchers = n; n <= oneHop {
				cfg.Hops = 1
			}
			res, err := simulate.Run(ctx, cfg)
			if err != nil {
				return fmt.Errorf("simulate %s: %w", s.Name, err)
			}
			row = append(row, byKind(res))
		}
		rows = append(rows, row)
	}
	if o.markdown {
		_, err := io.WriteString(w, markdownTable(rows))
		return err
	}
	_, err := io.WriteString(w, "Wrongly signed out: clients that obey the MESSAGE / deaf ones / lost ones.\n\n"+textTable(rows))
	return err
}

// compared gives the sizes up to the one of the flag.
func (o *options) compared() []int {
	most := 0
	for i, n := range sizes {
		if n <= o.watchers {
			most = i + 1
		}
	}
	return sizes[:most]
}

func byKind(r *simulate.Result) string {
	var all []string
	for _, n := range r.WrongBy {
		all = append(all, thousands(n))
	}
	return strings.Join(all, " / ")
}
