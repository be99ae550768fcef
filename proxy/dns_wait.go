package proxy

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"sync"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// parking holds the requests that wait for DNS, each once: its retransmissions
// need not wait as well.
type parking struct {
	mu    sync.Mutex
	sizes map[uint64]int // by key, in bytes
	bytes int
}

const (
	// maxParked bounds the requests that wait, maxParkedBytes all of them together.
	maxParked      = 10000
	maxParkedBytes = 32 << 20
	// maxParkings bounds how often one request waits: once for each name that may
	// be the way, and for no more.
	maxParkings = 8
)

// enter tells whether a request of that size may wait; known: it does already.
func (p *parking) enter(key uint64, size int) (ok, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.sizes[key]; known {
		return false, true
	}
	if len(p.sizes) >= maxParked || p.bytes+size > maxParkedBytes {
		return false, false
	}
	p.sizes[key] = size
	p.bytes += size
	return true, false
}

func (p *parking) leave(key uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes -= p.sizes[key]
	delete(p.sizes, key)
}

func (p *parking) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sizes)
}

// park keeps a copy of the request until its next hop is known. true: it waits,
// or goes on somewhere else already.
func (w *worker) park(from flow, t ticket, target resolve.Target) bool {
	s := w.s
	key := recordKey(t.key, w.Msg.Method)
	if w.parked == 0 {
		ok, known := s.parking.enter(key, len(w.Msg.Raw))
		if !ok {
			if !known {
				w.stuck(from, t, resolve.ErrBusy)
			}
			return false
		}
	}
	raw, times := w.Msg.Raw, w.parked+1
	if times == 1 {
		raw = slices.Clone(raw)
		// A stateful proxy lets nobody wait in silence (RFC 3261 17.2.1). Whoever sends by
		// UDP is not to stop: it may yet be passed on without a record.
		if t.trying = from.local.transport.Reliable() && bytes.Equal(w.Msg.Method, mINVITE); t.trying {
			s.trying(raw, from, t.since)
		}
	}
	s.cfg.Resolver.Await(target, asker(&w.Draft, from), func(_ []resolve.Hop, err error) {
		if err != nil {
			s.log.Debug().Err(err).Str("host", target.Host).Msg("name not resolved")
		}
		s.unpark(from, t, raw, times, err)
	})
	return true
}

// unpark sends a request on its way whose name was looked up, or could not be: one
// of several names may lead on where another does not.
func (s *Server) unpark(from flow, t ticket, raw []byte, times int, err error) {
	w := s.borrow()
	defer s.giveBack(w)
	w.parked = times
	defer func() { w.parked = 0 }()
	if !w.Load(raw) {
		return // it was read before
	}
	waits := false
	if times < maxParkings && (err == nil || times <= len(s.coreURIs)) {
		waits = w.forward(from, t)
	} else {
		w.route(from)
		w.stuck(from, t, cmp.Or(err, errNoHop))
	}
	if !waits {
		s.parking.leave(recordKey(t.key, w.Msg.Method))
	}
}

// asker is on whose behalf a name is looked up: that of the user in the core, by way of the
// neighbour. Whoever invents names has to share with nobody else.
func asker(d *draft.Draft, from flow) uint64 {
	user := wire.From
	if from.side() == dialogs.Server {
		user = wire.To
	}
	uri, _ := d.Msg.Party(user)
	neighbour := from.addr.Addr().As16()
	var h maphash.Hash
	h.SetSeed(d.Seed)
	_, _ = h.Write(neighbour[:])
	_, _ = h.Write(uri)
	return h.Sum64() | 1 // 0 is ourselves
}
