package simulate

import (
	"math"
	"math/rand/v2"
	"time"
)

// dice are all that is left to chance, from one seed.
type dice struct{ *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 0x5eed))} } //nolint:gosec // reproducible on purpose

// poisson draws how many of many independent things happen. Above 30 the normal
// distribution is close enough.
func (d dice) poisson(mean float64) int {
	switch {
	case mean <= 0:
		return 0
	case mean > 30:
		return max(0, int(math.Round(mean+math.Sqrt(mean)*d.NormFloat64())))
	}
	n, end := 0, math.Exp(-mean)
	for p := d.Float64(); p > end; p *= d.Float64() {
		n++
	}
	return n
}

// exp draws the pause until something happens that happens every so often.
func (d dice) exp(mean time.Duration) moment {
	return steps(time.Duration(d.ExpFloat64() * float64(mean)))
}

// within draws a time from nothing to most.
func (d dice) within(most time.Duration) moment {
	return moment(d.Float64() * float64(steps(most)))
}

// trait is a number from 0 to 1 that belongs to a watcher for good; each trait
// has a salt of its own. So nobody needs a record of what it is like.
func trait(seed uint64, who uint32, salt uint64) float64 {
	x := seed ^ uint64(who)<<20 ^ salt
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / (1 << 53)
}

// The salts of the traits.
const (
	saltSubscriptions = iota + 1
	saltIgnore
	saltDead
	saltDeath
	saltRegistered
	saltTwin
	saltMove
	saltMoved
)
