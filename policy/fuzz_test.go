package policy

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// FuzzDecide searches for a course of events that breaks what TestInvariants
// draws at random.
func FuzzDecide(f *testing.F) { search(f, invariants) }

// FuzzMerge does so for what two replicas know after they were apart.
func FuzzMerge(f *testing.F) { search(f, reunion) }

// search hands a property to the fuzzer, with seeds that are long enough to draw
// many events from.
func search(f *testing.F, property func(*rapid.T)) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 0))
		b := make([]byte, 16<<10)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(rapid.MakeFuzz(property))
}
