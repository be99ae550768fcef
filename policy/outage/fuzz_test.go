package outage_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// FuzzDetector searches for a history that makes no story, is held without reason,
// or is not released when everything passes.
func FuzzDetector(f *testing.F) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 0))
		b := make([]byte, 16<<10)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		if rapid.Bool().Draw(t, "release") {
			release(t)
		} else {
			story(t)
		}
	}))
}
