package outage

import "math/bits"

const (
	// buckets is the number of parts of a window. The part that has just begun is counted too,
	// so the sum covers nine to ten tenths of the window.
	buckets = 10
	// watcherBits is the size of the bitmap of failing watchers. Two watchers can
	// share a bit. So the bits that are set are never more than the watchers, and if
	// the watchers are few, the two numbers are nearly always equal.
	watcherBits  = 1024
	watcherWords = watcherBits / 64
)

// bucket counts the outcomes of one tenth of a window. epoch is the number of the tenth
// (Paths.epoch): a bucket with an older one is of an earlier turn of the ring.
type bucket struct {
	epoch          int64
	passed, failed int
	// sent is when the first NOTIFY that failed was sent, in Unix nanoseconds; 0: none failed.
	sent     int64
	watchers bitmap
}

// bitmap counts different watchers. Each sets the bit that the hash of its number gives.
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

// distinct is the least number of different watchers that were added.
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

// sentBy notes when a NOTIFY that failed was sent; 0 changes nothing.
func (b *bucket) sentBy(sent int64) {
	if sent != 0 && (b.sent == 0 || sent < b.sent) {
		b.sent = sent
	}
}

// window counts the outcomes of the last Limits.Window in bounded memory.
type window struct {
	ring [buckets]bucket
	last int64 // newest epoch
}

// at returns the bucket of an epoch; nil if the epoch has left the window, because its outcome came
// late.
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

// sum adds up the buckets that the window covers at an epoch.
func (w *window) sum(epoch int64) bucket {
	var all bucket
	for i := range w.ring {
		if b := &w.ring[i]; b.epoch > epoch-buckets && b.epoch <= epoch {
			all.add(b)
		}
	}
	return all
}

// mix spreads a number evenly over 64 bits (the finalizer of splitmix64). It improves weak hashes,
// and gives jitter.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
