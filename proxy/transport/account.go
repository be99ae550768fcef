package transport

import (
	"sync"
	"sync/atomic"
)

// account bounds the memory of one kind that all streams of a set use together.
//
// A stream may always have the floor. Beyond it, it may have a part of the memory that is left
// for all. So the more streams need much memory, the less each of them gets, and when none is
// left the others still have their floor. The memory in use is at most the limit, and the floor
// of every stream on top.
type account struct {
	limit, floor int64
	used         atomic.Int64
	tight        *atomic.Bool // no memory is left
}

// portion is the part of the memory left that one stream may have: one eighth.
const portion = 8

// share is how much one stream may have now.
func (a *account) share() int {
	if a.tight.Load() {
		return int(a.floor)
	}
	return int(max(a.floor, (a.limit-a.used.Load())/portion))
}

// add notes that n more bytes are in use, or fewer if n is negative.
func (a *account) add(n int) { a.used.Add(int64(n)) }

// spares keeps the buffers that no stream needs at the moment, so that after a burst ten
// thousand streams do not keep one each.
type spares struct {
	mu    sync.Mutex
	list  [][]byte
	bytes int
}

const (
	// maxSpares bounds all of them together, maxSpare each, in bytes.
	maxSpares = 16 << 20
	maxSpare  = 64 << 10
	// firstWrite is the size of a new buffer.
	firstWrite = 2048
)

// take gives an empty buffer.
func (p *spares) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.list) - 1
	if n < 0 {
		return make([]byte, 0, firstWrite)
	}
	b := p.list[n]
	p.list[n] = nil
	p.list = p.list[:n]
	p.bytes -= cap(b)
	return b
}

// give puts a buffer back, unless there are enough.
func (p *spares) give(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := cap(b); n > 0 && n <= maxSpare && p.bytes+n <= maxSpares {
		p.list = append(p.list, b[:0])
		p.bytes += n
	}
}

// perStream is the memory of a stream beside its buffers: its goroutines and the descriptor.
const perStream = 16 << 10

// perSecure is what TLS takes of a stream beside what is incomplete: keys, and the buffers of
// one record.
const perSecure = 24 << 10

// SecureEach is the memory, in bytes, that TLS takes at most of a connection of Secure which no
// Streams serve.
const SecureEach = perSecure + unsaidFloor*unsaidCost

// Budget is the memory that the streams of one side take at most, in bytes; secure: by TLS.
func Budget(cfg StreamConfig, secure bool) int64 {
	cfg.defaults()
	each, denied := int64(queuedFloor+partialFloor+perStream), int64(maxDeniedMessage+perStream)
	if secure {
		each, denied = each+SecureEach, denied+SecureEach
	}
	streams := 2 * int64(cfg.MaxStreams) // accepted, and dialled
	return int64(cfg.MaxQueued+cfg.MaxPartial) + maxSpares + streams*each + maxDenied*denied
}
