package proxy

import (
	"errors"
	"io"
	"slices"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// What ends a request before any response does.
var (
	errNoHop    = errors.New("no next hop")
	errNoSocket = errors.New("no socket of that side speaks the next hop's transport")
	errStreams  = errors.New("too many streams")
	errEdits    = errors.New("more Route entries of ours than a message can have")
	errBusy     = errors.New("503 from the next hop")
	// errStaleStream marks the end of a connection that had stood.
	errStaleStream = errors.New("connection ended")
)

// failure is an error of the next hop of a record.
type failure struct {
	err error
	// stream, if not 0, is the connection that failed: the end of one that was
	// left already says nothing.
	stream uint64
	// told: the failure is of this attempt, and of no later one.
	told    bool
	attempt uint8
}

// of tells whether the failure is that of the present hop.
func (f *failure) of(r *record) bool {
	return (f.stream == 0 || f.stream == r.stream) && (!f.told || f.attempt == r.attempt%letters)
}

// failed is a transport error of a record's present hop. The next one is tried,
// if there is one; else the transaction is over. false: there is no such record.
func (w *worker) failed(key uint64, f failure) (known bool) {
	s, r := w.s.table.lock(key)
	if r == nil || r.phase != open || !f.of(r) {
		s.mu.Unlock()
		return r != nil
	}
	if errors.Is(f.err, transport.ErrOurs) {
		// That judges nobody: it goes on, on another connection, until its own deadline.
		r.later(w.at, 0)
		s.wheel.set(r, r.due(w.s.cfg.T1))
		s.mu.Unlock()
		return true
	}
	if crowded(f.err) && (r.notify || !r.upgraded) {
		w.crowdedOut(s, r) // unlocks
		return true
	}
	if r.retried && errors.Is(f.err, io.EOF) {
		// Closed in good order, and not for idleness. The peer may answer by a
		// connection of its own (RFC 3261 18.2.2), until the deadline.
		r.stream = 0
		s.mu.Unlock()
		return true
	}
	h := r.hop()
	w.s.log.Debug().Err(f.err).Stringer("hop", h.Addr).Msg("next hop failed")
	if !w.another(r, f.err) {
		e := w.outlived(s, r, dialogs.Unreachable)
		s.mu.Unlock()
		if errors.Is(f.err, transport.ErrTooLong) {
			// That is said of the message: no hop is bad, and no watcher was unreachable.
			w.s.metrics.refused(refusedUnavailable)
			w.s.answerEnded(&e, 513, "Message Too Large")
			return true
		}
		w.markBad(h)
		if !errors.Is(f.err, errStaleStream) {
			w.s.health.lost(h, f.err)
		}
		w.conclude(e)
		return true
	}
	again := w.resending(r)
	s.wheel.set(r, r.due(w.s.cfg.T1))
	s.mu.Unlock()
	again.do(w)
	return true
}

// crowdedOut ends a request that found no room to leave. It gives the lock free.
func (w *worker) crowdedOut(s *shard, r *record) {
	if r.notify {
		w.postponed(s, r)
		return
	}
	e := w.outlived(s, r, dialogs.Unreachable)
	e.crowded = true
	s.mu.Unlock()
	w.conclude(e)
}

// postponed leaves a NOTIFY that found no room to the server's retransmission, and where
// the server sends none it is tried again: a crowded path is no fault of the watcher's.
// It gives the lock free.
func (w *worker) postponed(s *shard, r *record) {
	switch {
	case !r.from.local.transport.Reliable():
		w.s.table.remove(s, r)
	case r.absorb:
		r.later(w.at, w.s.cfg.T1)
		s.wheel.set(r, r.due(w.s.cfg.T1))
	}
	s.mu.Unlock()
	w.s.metrics.dropped(dropBacklog, 1)
}

// another chooses what to try next: the same hop by UDP, if only the size asked
// for TCP; the same hop once more, if a connection that had stood before broke
// (the peer may have closed it while idle); the next hop. The caller holds the
// lock of the shard.
func (w *worker) another(r *record, err error) bool {
	h := r.hop()
	busy := errors.Is(err, errBusy)
	switch {
	case h.Upgraded && !busy:
		if !errors.Is(err, errStaleStream) && !crowded(err) {
			w.s.noTCP.add(h.Addr, w.now)
		}
		r.transport, r.upgraded = wire.UDP, false
		r.leaves(w.at, w.s.cfg.T1)
		return true
	case h.Transport.Reliable() && !r.retried && errors.Is(err, errStaleStream):
		r.retried = true
		r.stream = 0
		return true
	case len(r.more.rest) > 0:
		if !errors.Is(err, transport.ErrTooLong) {
			w.markBad(h)
		}
		w.turn(r)
		return true
	}
	return false
}

// turn makes a record go on to its next candidate, which may need TCP for the
// size of the request as well.
func (w *worker) turn(r *record) {
	r.advance(w.at, w.s.cfg.T1)
	if h := w.upgraded(r.from, r.hop(), len(r.text)+overhead); h != r.hop() {
		r.goTo(h)
		r.leaves(w.at, w.s.cfg.T1)
	}
}

// resending is something to be sent for a record once the lock is free.
type resending struct {
	raw    []byte
	from   flow
	hop    resolve.Hop
	ticket ticket
	what   sending
}

// sending says what is sent.
type sending uint8

const (
	sendRequest sending = iota // the request, to its hop
	sendTrying                 // 100, to the client
	sendAnswer                 // the kept answer, to the client
)

// resending copies what sending the request again needs.
func (w *worker) resending(r *record) resending {
	key := r.key
	if r.cancel {
		key ^= cancelTwist
	}
	return resending{
		raw: slices.Clone(r.text), from: r.from, hop: r.hop(),
		ticket: ticket{key: key, loop: r.loop, attempt: r.attempt, record: r.key},
	}
}

// do sends. It takes a workspace of its own, because a message may be at hand in w.
func (a *resending) do(w *worker) {
	own := w.s.borrow()
	defer w.s.giveBack(own)
	if !own.load(a.raw) {
		return
	}
	switch a.what {
	case sendRequest:
		own.route(a.from)
		own.emitRecorded(a.from, a.ticket, a.hop)
	case sendTrying:
		if b, ok := own.answer(a.from, 100, "Trying"); ok {
			own.sendBack(a.from, b)
		}
	case sendAnswer:
		own.sendBack(a.from, a.raw)
	}
}
