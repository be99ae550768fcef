package config

import (
	"maps"
	"slices"
	"strings"
)

const prefix = "REWATCH_"

// findUnknown makes a mistyped variable an error: silently ignored, it would be
// found out only when the behaviour it was meant to change is needed.
func (in *inspection) findUnknown() {
	names := make([]string, len(in.known))
	for i, v := range in.known {
		names[i] = v.Name
	}
	for _, name := range slices.Sorted(maps.Keys(in.environ)) {
		if !strings.HasPrefix(name, prefix) || slices.Contains(names, name) || in.serviceLink(name) {
			continue
		}
		in.unknown = append(in.unknown, Mistake{
			Variable: name,
			Found:    " is not known",
			Want:     "the nearest known name is " + nearest(name, names),
		})
	}
}

// serviceLink says whether Kubernetes made this variable: for a Service called
// "rewatch" every container of the namespace gets REWATCH_SERVICE_HOST,
// REWATCH_PORT and more, which nobody typed.
func (in *inspection) serviceLink(name string) bool {
	for other := range in.environ {
		service, ok := strings.CutSuffix(other, "_SERVICE_HOST")
		if !ok || !strings.HasPrefix(service+"_", prefix) {
			continue
		}
		rest, ok := strings.CutPrefix(name, service)
		if ok && (rest == "_PORT" || strings.HasPrefix(rest, "_PORT_") || strings.HasPrefix(rest, "_SERVICE_")) {
			return true
		}
	}
	return false
}

// nearest is the name with the fewest slips of the keyboard between.
func nearest(name string, names []string) string {
	return slices.MinFunc(names, func(a, b string) int {
		return editDistance(name, a) - editDistance(name, b)
	})
}

// editDistance counts the letters to insert, delete or replace (Levenshtein),
// keeping one row of the table.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
