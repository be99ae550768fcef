package slab

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIndex holds an index against a map, with tags that crowd together.
func TestIndex(t *testing.T) {
	for _, spread := range []uint32{40, 1000, 1 << 31} {
		random := rand.New(rand.NewPCG(1, uint64(spread)))
		var x Index
		want := map[uint32]uint32{}
		for step := range 20_000 {
			tag := random.Uint32N(spread) * 0x10001
			if random.IntN(5) < 2 {
				x.drop(tag)
				delete(want, tag)
			} else {
				slot := 1 + random.Uint32N(1<<20)
				x.Set(tag, slot)
				want[tag] = slot
			}
			if x.Get(tag) != want[tag] || x.Len() != len(want) {
				t.Fatal(spread, step, x.Get(tag), want[tag], x.Len(), len(want))
			}
		}
		for tag, slot := range want {
			if x.Get(tag) != slot {
				t.Fatal(spread, tag, x.Get(tag), slot)
			}
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	var x Index
	const n = 1 << 14
	for i := range uint32(n) {
		x.Set(i*0x9e3779b1, i+1)
	}
	for i := uint32(0); b.Loop(); i++ {
		if x.Get(i%n*0x9e3779b1) == 0 {
			b.Fatal("lost")
		}
	}
}

// link is a value in a chain.
type link struct{ next uint32 }

// TestUnchain takes slots of a few tags out of their chains in any order.
func TestUnchain(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 3))
	var x Index
	var slots Slab[link]
	held := map[uint32][]uint32{}
	for range 5000 {
		tag := random.Uint32N(3)
		if n := len(held[tag]); n > 0 && random.IntN(2) == 0 {
			i := random.IntN(n)
			slot := held[tag][i]
			Unchain(&x, &slots, tag, slot, func(l *link) *uint32 { return &l.next })
			*slots.At(slot) = link{}
			slots.Give(slot)
			held[tag] = slices.Delete(held[tag], i, i+1)
		} else {
			slot := slots.Take()
			*slots.At(slot) = link{next: x.Get(tag)}
			x.Set(tag, slot)
			held[tag] = append(held[tag], slot)
		}
		var chain []uint32
		for slot := x.Get(tag); slot != 0; slot = slots.At(slot).next {
			chain = append(chain, slot)
		}
		slices.Reverse(chain)
		if !slices.Equal(chain, held[tag]) {
			t.Fatal(tag, chain, held[tag])
		}
	}
}
