package resolve

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func ranked(group, weight uint16, name string) Hop {
	return Hop{ServerName: name, Rank: Rank{Group: group, Weight: weight, Server: serverOf(Record{Name: name})}}
}

func namesOf(hops []Hop) string {
	var names []string
	for _, h := range hops {
		names = append(names, h.ServerName)
	}
	return strings.Join(names, " ")
}

// TestSpread: flows are spread by weight, each stays where it is, and of a server that goes
// only its own flows move.
func TestSpread(t *testing.T) {
	const flows = 20000
	for _, c := range []struct {
		name    string
		weights []uint16
	}{
		{"alike", []uint16{10, 10, 10, 10}},
		{"without weights", []uint16{0, 0, 0, 0}},
		{"1 to 3", []uint16{25, 75}},
		{"one that has none", []uint16{0, 60, 40}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all []Hop
			sum := 0.0
			for i, w := range c.weights {
				all = append(all, ranked(1, w, fmt.Sprint("s", i)), ranked(1, w, fmt.Sprint("s", i)))
				sum += float64(w)
			}
			first := map[string]int{}
			for i := range flows {
				flow := Flow(fmt.Appendf(nil, "%d@host", i))
				hops, again := slices.Clone(all), slices.Clone(all)
				Spread(hops, flow)
				slices.Reverse(again)
				Spread(again, flow)
				if namesOf(hops) != namesOf(again) {
					t.Fatalf("the order of the answer matters: %s, %s", namesOf(hops), namesOf(again))
				}
				if hops[0].ServerName != hops[1].ServerName {
					t.Fatal("the addresses of a server are torn apart: ", namesOf(hops))
				}
				first[hops[0].ServerName]++
				gone := hops[len(hops)-1].ServerName
				fewer := slices.DeleteFunc(slices.Clone(all), func(h Hop) bool { return h.ServerName == gone })
				if Spread(fewer, flow); fewer[0].ServerName != hops[0].ServerName {
					t.Fatal("a flow has moved though its server is there")
				}
			}
			for i, w := range c.weights {
				want := float64(w) / sum
				if sum == 0 {
					want = 1 / float64(len(c.weights))
				}
				if got := float64(first[fmt.Sprint("s", i)]) / flows; math.Abs(got-want) > 0.015 {
					t.Errorf("s%d of weight %d has %.3f of the flows, want %.3f", i, w, got, want)
				}
			}
		})
	}
	hops := []Hop{ranked(1, 1, "a"), ranked(1, 1, "b"), ranked(2, 60000, "c"), {ServerName: "d"}, {ServerName: "e"}}
	for flow := range uint64(200) {
		if Spread(hops, flow); !strings.HasSuffix(namesOf(hops), " c d e") {
			t.Fatal("priorities, or hops without any, are mixed: ", namesOf(hops))
		}
	}
	if n := testing.AllocsPerRun(100, func() { Spread(hops, 5) }); n != 0 {
		t.Error(n, "allocations")
	}
}

// TestNoService: "." as the only target says that the service is not there; the addresses
// of the name are then no way round it (RFC 2782).
func TestNoService(t *testing.T) {
	z := ims()
	z.records["SRV _sip._udp.half.example"] = []Record{srv(0, 0, 0, "")}
	z.records["SRV _sip._tcp.half.example"] = []Record{srv(0, 0, 5060, "b.ims.example")}
	z.records["A half.example"] = []Record{addr("192.0.2.66")}
	for uri, want := range map[string]string{
		"sip:off.example;transport=udp":  "",
		"sip:off.example":                "",
		"sip:off.example:5060":           "udp 192.0.2.8:5060",
		"sip:half.example":               "tcp 192.0.2.2:5060",
		"sip:half.example;transport=udp": "",
	} {
		hops, _, err := New(Config{Exchange: z}).Resolve(context.Background(), target(t, uri))
		if list(hops) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v", uri, list(hops), err)
		}
	}
}
