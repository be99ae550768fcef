package main

import (
	"maps"
	"slices"
	"strings"

	"rewatch/integration/load"
)

// curve is one line of the plot.
type curve struct {
	name, class string
	points      []xy
}

type xy struct{ x, y float64 }

// plotted are the systems of the plot, in the order of its legend.
var plotted = []struct{ name, class, system string }{
	{"relay", "relay", sysRelay},
	{"rewatch", "rewatch", sysRewatch},
	{"Kamailio, 1 child", "kamailio", sysKamailio1},
	{"Kamailio, 2 children", "kamailio2", sysKamailio2},
}

// latencyPlot draws the latency of NOTIFYs over their rate, medians of all rounds.
func latencyPlot(blocks []*block, network string) string {
	var half, tail []curve
	for _, s := range plotted {
		p50 := curveOf(blocks, network, s.system, func(p point) float64 { return us(p.p50) })
		p99 := curveOf(blocks, network, s.system, func(p point) float64 { return us(p.p99) })
		if len(p50) > 0 {
			half = append(half, curve{s.name, s.class, p50})
			tail = append(tail, curve{s.name, s.class, p99})
		}
	}
	return plot{
		title: "NOTIFY over " + strings.ToUpper(network) + ": latency over rate, up to the highest rate without loss",
		xAxis: "transactions per second", yAxis: "µs, request to answer",
		panels: []panel{{"half of all (p50)", half}, {"all but one in a hundred (p99)", tail}},
	}.svg()
}

// curveOf takes the median over the rounds at every rate that was held.
func curveOf(blocks []*block, network, system string, pick func(point) float64) (list []xy) {
	byRate := map[float64][]float64{}
	for _, b := range blocks {
		if b.system != system || b.network != network || b.works[load.Notify] == nil {
			continue
		}
		for _, p := range b.works[load.Notify].steps {
			byRate[p.asked] = append(byRate[p.asked], pick(p))
		}
	}
	for _, rate := range slices.Sorted(maps.Keys(byRate)) {
		s, _ := newSpread(byRate[rate])
		list = append(list, xy{rate, s.median})
	}
	return list
}
