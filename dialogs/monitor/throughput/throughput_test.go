package throughput

import (
	"net/netip"
	"testing"
	"time"
)

func testHop(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5060) //nolint:gosec // small
}

// Beyond the bound nothing is lost, only the hop.
func TestHopCountsAreBounded(t *testing.T) {
	var counts Counts
	at := time.Now()
	for i := range 10 * maxHopCounts {
		counts.Add(testHop(i), at, 1)
	}
	n := 0
	for _, c := range counts {
		n += c.got.N
	}
	if len(counts) != maxHopCounts || n != 10*maxHopCounts {
		t.Errorf("%d hops, %d NOTIFYs", len(counts), n)
	}
	if allocated := testing.AllocsPerRun(100, func() { counts.Add(testHop(7), at, 1) }); allocated > 0 {
		t.Errorf("%v allocations", allocated)
	}
}
