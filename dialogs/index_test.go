package dialogs

import (
	"math/rand/v2"
	"testing"
)

// TestIndex holds an index against a map, with tags that crowd together.
func TestIndex(t *testing.T) {
	for _, spread := range []uint32{40, 1000, 1 << 31} {
		random := rand.New(rand.NewPCG(1, uint64(spread)))
		var x index
		want := map[uint32]uint32{}
		for step := range 20_000 {
			tag := random.Uint32N(spread) * 0x10001
			if random.IntN(5) < 2 {
				x.drop(tag)
				delete(want, tag)
			} else {
				slot := 1 + random.Uint32N(1<<20)
				x.set(tag, slot)
				want[tag] = slot
			}
			if x.get(tag) != want[tag] || x.len() != len(want) {
				t.Fatal(spread, step, x.get(tag), want[tag], x.len(), len(want))
			}
		}
		for tag, slot := range want {
			if x.get(tag) != slot {
				t.Fatal(spread, tag, x.get(tag), slot)
			}
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	var x index
	const n = 1 << 14
	for i := range uint32(n) {
		x.set(i*0x9e3779b1, i+1)
	}
	for i := uint32(0); b.Loop(); i++ {
		if x.get(i%n*0x9e3779b1) == 0 {
			b.Fatal("lost")
		}
	}
}
