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
	"rewatch/proxy/route"
	"rewatch/proxy/wire"
)

// parking counts the requests that wait for DNS. Each waits once: its retransmissions are
// dropped meanwhile.
type parking struct {
	mu    sync.Mutex
	sizes map[uint64]int // by key, in bytes
	bytes int
}

const (
	// maxParked bounds the number of requests that wait, maxParkedBytes their size.
	maxParked      = 10000
	maxParkedBytes = 32 << 20
	// maxParkings bounds how often one request waits: each name that it may be sent to is
	// looked up once.
	maxParkings = 8
)

// enter adds a request, unless there are too many; known: it waits already.
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

// park keeps a copy of the request until its next hop is known. true: it waits, or another
// worker has it already.
func (w *worker) park(from flow, t ticket, target resolve.Target) bool {
	s := w.s
	key := recordKey(t.key, w.Msg.Method)
	if w.parked == 0 {
		ok, known := s.parking.enter(key, len(w.Msg.Raw))
		if !ok {
			if !known {
				w.noNextHop(from, t, resolve.ErrBusy)
			}
			return false
		}
	}
	raw, times := w.Msg.Raw, w.parked+1
	if times == 1 {
		raw = slices.Clone(raw)
		// A stateful proxy answers 100 at once (RFC 3261 17.2.1), but not to UDP: there the
		// client has to retransmit, because the request may be forwarded without a record.
		if t.trying = from.socket.Transport.Reliable() && bytes.Equal(w.Msg.Method, mINVITE); t.trying {
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

// unpark forwards a request after the lookup of a name, even if that failed: another name
// may have an address.
func (s *Server) unpark(from flow, t ticket, raw []byte, times int, err error) {
	w := s.borrow()
	defer s.giveBack(w)
	w.parked = times
	defer func() { w.parked = 0 }()
	if !w.Load(raw) {
		return
	}
	waits := false
	if times < maxParkings && (err == nil || times <= len(s.routing.Core)) {
		waits = w.forward(from, t)
	} else {
		w.route(from)
		w.noNextHop(from, t, cmp.Or(err, route.ErrNoHop))
	}
	if !waits {
		s.parking.leave(recordKey(t.key, w.Msg.Method))
	}
}

// asker identifies on whose behalf a name is looked up: the user in the core, by the
// neighbour that it came by. A user that invents names uses up its own share of the lookups
// and nobody else's.
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
