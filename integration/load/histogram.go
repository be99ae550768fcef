package load

import (
	"math/bits"
	"time"
)

const (
	subBits    = 5 // 32 steps for each power of two: 3 % of error at most
	subBuckets = 1 << subBits
	buckets    = (64 - subBits) * subBuckets
)

// Histogram counts durations in buckets whose width grows with the value. Its
// size is fixed and adding allocates nothing.
type Histogram struct {
	counts [buckets]uint64
	n      uint64
	max    time.Duration
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.n++
	h.max = max(h.max, d)
}

// Merge adds what another one has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// N is the number of durations.
func (h *Histogram) N() uint64 { return h.n }

// Max is the greatest one.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile gives the duration that a share q of all does not pass.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(q * float64(h.n))
	rank = min(rank, h.n-1)
	var seen uint64
	for i, c := range h.counts {
		if seen += c; seen > rank {
			return min(middleOf(i), h.max)
		}
	}
	return h.max
}

// bucketOf: values below subBuckets have a bucket each; above, the leading bits
// choose it.
func bucketOf(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	exp := bits.Len64(v) - subBits - 1
	return exp*subBuckets + int(v>>exp) //nolint:gosec // below buckets
}

// middleOf is the middle of a bucket.
func middleOf(i int) time.Duration {
	if i < 2*subBuckets {
		return time.Duration(i)
	}
	exp := i/subBuckets - 1
	low := uint64(i%subBuckets+subBuckets) << exp //nolint:gosec // not negative
	return time.Duration(low + 1<<exp/2)          //nolint:gosec // below 1<<63
}
