package resolve

import (
	"cmp"
	"math"
	"slices"
)

// Rank is the place of a hop among the others by its SRV record (RFC 2782). A hop without an
// SRV record has none.
type Rank struct {
	// Group counts the priorities: hops of a lower one are tried first.
	Group uint16
	// Weight is the share that the server has among those of its group.
	Weight uint16
	// Server identifies a server of a group, which may have several addresses. It is a hash of
	// its name and port, and never 0.
	Server uint32
}

// byPriority sorts SRV records by priority. Spread orders those of equal priority.
func byPriority(records []Record) []Record {
	list := slices.Clone(records[:min(len(records), maxServers)])
	slices.SortStableFunc(list, func(a, b Record) int { return cmp.Compare(a.Priority, b.Priority) })
	return list
}

// Spread puts the hops of a name in the order in which one flow, such as a Call-ID, tries
// them: servers of equal priority each come first for a share of the flows according to
// their weights (RFC 2782), always the same for one flow. When a server is removed, only its own
// flows move. hops are sorted by group, as a Resolver gives them; they are changed.
func Spread(hops []Hop, flow uint64) {
	for start := 0; start < len(hops); {
		end := start + 1
		for end < len(hops) && hops[end].Rank.Group == hops[start].Rank.Group {
			end++
		}
		if hops[start].Rank.Server != hops[end-1].Rank.Server {
			spread(hops[start:end], flow)
		}
		start = end
	}
}

// spread orders one group: each server draws a time until it is first, the shorter on
// average the greater its weight is, and all of a server's addresses have the same. (So
// the first one is drawn by weight, as is the first of the others.)
func spread(group []Hop, flow uint64) {
	var room [maxHops]float64
	times := room[:0]
	weighty := slices.ContainsFunc(group, func(h Hop) bool { return h.Rank.Weight > 0 })
	for _, h := range group {
		weight := float64(h.Rank.Weight)
		switch {
		case weight == 0 && weighty:
			weight = 0.1 // "a very small chance"
		case weight == 0:
			weight = 1
		}
		const most = 1 << 53
		u := (float64(mix(flow^mix(uint64(h.Rank.Server)))%most) + 1) / (most + 1)
		times = append(times, -math.Log(u)/weight)
	}
	for i := 1; i < len(group); i++ { // few, and those with the same time keep their order
		for j := i; j > 0 && times[j] < times[j-1]; j-- {
			times[j], times[j-1] = times[j-1], times[j]
			group[j], group[j-1] = group[j-1], group[j]
		}
	}
}

// mix makes every bit of a number depend on all others (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Flow is the number of a flow, the same in every process.
func Flow(callID []byte) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for _, c := range callID {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// serverOf names the server of an SRV record.
func serverOf(r Record) uint32 {
	return uint32(mix(Flow([]byte(r.Name))^uint64(r.Port))) | 1 //nolint:gosec // a part of it is enough
}
