package outage

import "math/bits"

const (
	// buckets is how finely a window slides: it covers nine to ten tenths.
	buckets = 10
	// watcherBits is the size of the bitmap of failing watchers. Two watchers can
	// share a bit, so the bits that are set are never more than the watchers,
	// and for the few that have to be told apart hardly ever fewer.
	watcherBits  = 1024
	watcherWords = watcherBits / 64
)

// bucket counts the outcomes of one tenth of a window. epoch numbers the tenths;
// it says whether the bucket is of this turn.
type bucket struct {
	epoch          int64
	passed, failed int
	// sent is when the first of those that failed was sent, in Unix nanoseconds.
	sent     int64
	watchers bitmap
}

// bitmap tells different watchers apart.
type bitmap [watcherWords]uint64

func (m *bitmap) add(watcher uint64) {
	bit := mix(watcher) % watcherBits
	m[bit/64] |= 1 << (bit % 64)
}

// join adds what another bitmap has.
func (m *bitmap) join(o *bitmap) {
	for i, w := range o {
		m[i] |= w
	}
}

// distinct is how many were added, at least.
func (m *bitmap) distinct() int {
	n := 0
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}

func (b *bucket) add(o *bucket) {
	b.passed += o.passed
	b.failed += o.failed
	b.sentBy(o.sent)
	b.watchers.join(&o.watchers)
}

// sentBy notes that one which failed was sent then; 0: there was none.
func (b *bucket) sentBy(sent int64) {
	if sent != 0 && (b.sent == 0 || sent < b.sent) {
		b.sent = sent
	}
}

// window is a sliding count in bounded memory.
type window struct {
	ring [buckets]bucket
	last int64 // newest epoch
}

// at returns the bucket of an epoch, or nil if that has left the window, as with
// an outcome that was long on its way.
func (w *window) at(epoch int64) *bucket {
	w.last = max(w.last, epoch)
	if epoch <= w.last-buckets {
		return nil
	}
	b := &w.ring[(epoch%buckets+buckets)%buckets]
	if b.epoch != epoch {
		*b = bucket{epoch: epoch}
	}
	return b
}

func (w *window) pass(epoch int64, n int) {
	if b := w.at(epoch); b != nil {
		b.passed += n
	}
}

func (w *window) fail(epoch int64, t *Try) {
	if b := w.at(epoch); b != nil {
		b.failed++
		b.sentBy(t.Sent.UnixNano())
		b.watchers.add(t.User)
	}
}

// sum adds up what the window covers at an epoch.
func (w *window) sum(epoch int64) bucket {
	var all bucket
	for i := range w.ring {
		if b := &w.ring[i]; b.epoch > epoch-buckets && b.epoch <= epoch {
			all.add(b)
		}
	}
	return all
}

// mix spreads a number over 64 bits (the finalizer of splitmix64), so that hashes
// of any quality, and jitter, can be taken from it.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
