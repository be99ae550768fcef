package resolve

import (
	"cmp"
	"slices"
)

// order sorts SRV records as RFC 2782 says: by priority, and among equals at
// random, those with more weight more often first.
func order(records []Record, intN func(n int) int) []Record {
	list := slices.Clone(records[:min(len(records), maxServers)])
	slices.SortStableFunc(list, func(a, b Record) int {
		// Weight 0 comes first, so that it has its small chance.
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Weight, b.Weight))
	})
	for start := 0; start < len(list); {
		end := start
		for end < len(list) && list[end].Priority == list[start].Priority {
			end++
		}
		shuffle(list[start:end], intN)
		start = end
	}
	return list
}

// shuffle draws one record after the other from those of one priority.
func shuffle(list []Record, intN func(n int) int) {
	for ; len(list) > 1; list = list[1:] {
		sum := 0
		for _, r := range list {
			sum += int(r.Weight)
		}
		draw := intN(sum + 1)
		for i, r := range list {
			draw -= int(r.Weight)
			if draw <= 0 {
				// Move the chosen one to the front, the others keep their order.
				copy(list[1:i+1], list[:i])
				list[0] = r
				break
			}
		}
	}
}
