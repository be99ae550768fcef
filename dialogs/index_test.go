package dialogs

import (
	"math/rand/v2"
	"slices"
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

// link is a value in a chain.
type link struct{ next uint32 }

// TestUnchain takes slots of a few tags out of their chains in any order.
func TestUnchain(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 3))
	var x index
	var slots slab[link]
	held := map[uint32][]uint32{}
	for range 5000 {
		tag := random.Uint32N(3)
		if n := len(held[tag]); n > 0 && random.IntN(2) == 0 {
			i := random.IntN(n)
			slot := held[tag][i]
			unchain(&x, &slots, tag, slot, func(l *link) *uint32 { return &l.next })
			*slots.at(slot) = link{}
			slots.give(slot)
			held[tag] = slices.Delete(held[tag], i, i+1)
		} else {
			slot := slots.take()
			*slots.at(slot) = link{next: x.get(tag)}
			x.set(tag, slot)
			held[tag] = append(held[tag], slot)
		}
		var chain []uint32
		for slot := x.get(tag); slot != 0; slot = slots.at(slot).next {
			chain = append(chain, slot)
		}
		slices.Reverse(chain)
		if !slices.Equal(chain, held[tag]) {
			t.Fatal(tag, chain, held[tag])
		}
	}
}
