package proxy

import (
	"bytes"
	"errors"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/metrics"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// ticket is what identifies a request, from its checks to its Via.
type ticket struct {
	key  uint64
	loop uint32
	// attempt counts the next hops that were tried.
	attempt uint8
	// record is the key of its record, 0 if it has none.
	record uint64
	// since is when it came, trying that its client has got a 100, told that it has got the
	// final answer.
	since        transaction.Moment
	trying, told bool
}

// forward finds the next hop of the request at hand and sends it there. If a name has to be
// resolved first, a copy of the request waits: true.
func (w *worker) forward(from flow, t ticket) (waits bool) {
	d := w.route(from)
	if w.Edits.Room() < draft.HopEdits {
		w.s.metrics.Refused(metrics.RefusedMalformed)
		w.refuse(from, 400, "Bad Request (too many Route fields)")
		return false
	}
	if w.follows(from, t) {
		return false
	}
	if d.Server && !bytes.Equal(w.Msg.Method, mACK) && (w.mustWait(from) || w.s.health.Refuses(t.key, w.now)) {
		w.unavailable(from, "Presence Server Unavailable")
		return false
	}
	id, _ := w.Msg.Value(wire.CallID)
	pending, err := w.router.Candidates(d, id, w.now)
	switch {
	case err != nil:
		w.s.log.Debug().Err(err).Str("uri", string(d.URI)).Msg("no next hop")
		w.noNextHop(from, t, err)
	case pending != (resolve.Target{}):
		return w.park(from, t, pending)
	default:
		if d.Server && !bytes.Equal(w.Msg.Method, mACK) {
			w.s.health.Expects(w.now)
		}
		w.upgrade(from)
		w.launch(from, t)
	}
	return false
}

// follows sends a CANCEL, or the ACK of a failure, to the hop of its INVITE; false: that hop
// is not known.
func (w *worker) follows(from flow, t ticket) bool {
	ack := bytes.Equal(w.Msg.Method, mACK)
	if !ack && !bytes.Equal(w.Msg.Method, mCANCEL) {
		return false
	}
	e := w.s.table.Follow(t.key, ack)
	if !e.Known {
		return false
	}
	t.attempt, t.told = e.Attempt, !ack
	w.router.Hops = append(w.router.Hops[:0], e.Hop)
	switch {
	case e.Do.Has(transaction.Forward):
		w.launch(from, t)
	case e.Do.Has(transaction.Hold):
		t.record = recordKey(t.key, w.Msg.Method)
		w.track(from, t, 0, true)
	}
	if !ack { // at once, whatever becomes of its INVITE (RFC 3261 16.10)
		w.refuse(from, 200, "OK")
	}
	return true
}

// unavailable answers 503: the next hop cannot be reached.
func (w *worker) unavailable(from flow, reason string) {
	if bytes.Equal(w.Msg.Method, mACK) {
		w.s.metrics.Dropped(metrics.DropUnreachable, 1)
		return
	}
	if w.registerFallback(from) {
		return
	}
	w.s.metrics.Refused(metrics.RefusedUnavailable)
	w.refuse(from, 503, reason, registerRetryAfter(&w.Draft, from)...)
}

// noNextHop ends a request without a next hop. A NOTIFY of the server fails then like one
// whose hops are all unreachable (RFC 3263 4.3).
func (w *worker) noNextHop(from flow, t ticket, err error) {
	switch {
	case errors.Is(err, route.ErrReach):
		w.outOfReach(from, w.way.URI)
		return
	case from.notifies(w.Msg.Method) && !w.s.table.Full():
	case Crowded(err):
		w.overloaded(from, tooManyParked)
		return
	case errors.Is(err, resolve.ErrNotSIP): // and no other next hop (RFC 3261 16.3 step 2)
		w.s.metrics.Refused(metrics.RefusedUnavailable)
		w.refuse(from, 416, "Unsupported URI Scheme")
		return
	default:
		w.unavailable(from, "No Next Hop")
		return
	}
	w.router.Hops = append(w.router.Hops[:0], resolve.Hop{})
	ref, ruling := w.announce(from, t)
	switch {
	case ruling.Again:
		w.s.metrics.Dropped(metrics.DropUnreachable, 1)
	case denies(ruling):
		w.denied(from, t, ruling)
	default:
		t.record = t.key
		if w.track(from, t, ref, false) {
			w.failed(t.record, transaction.Failure{}, err)
		}
	}
}

// launch asks the Monitor, makes a record where one is needed, and sends to the
// first of w.router.Hops.
func (w *worker) launch(from flow, t ticket) {
	notify := from.notifies(w.Msg.Method)
	h := w.router.Hops[0]
	stateful := from.socket.Transport.Reliable() || h.Transport.Reliable()
	if stateful && w.s.sheds(&w.Msg, from) {
		w.overloaded(from, tooManyOpen)
		return
	}
	if !notify && !w.ruled(from) {
		return
	}
	var ref dialogs.Ref
	switch {
	case w.fallsBack(from):
		stateful, ref = true, ofRegister
	case notify:
		var ruling dialogs.Ruling
		ref, ruling = w.announce(from, t)
		if denies(ruling) {
			w.denied(from, t, ruling)
			return
		}
		stateful = stateful || !ruling.Again
	}
	if !stateful || bytes.Equal(w.Msg.Method, mACK) {
		w.stateless(from, t, h)
		return
	}
	if w.s.table.Full() || !notify && w.s.table.Scarce() {
		w.s.metrics.Untracked(notify)
		w.stateless(from, t, h)
		return
	}
	t.record = recordKey(t.key, w.Msg.Method)
	if !w.track(from, t, ref, false) {
		return // another reader has the same request at the same moment
	}
	if bytes.Equal(w.Msg.Method, mINVITE) && !t.trying {
		w.s.trying(w.Msg.Raw, from, t.since)
	}
	w.emitRecorded(from, t, h)
}

// announce tells the Monitor of a NOTIFY that has no record yet.
func (w *worker) announce(from flow, t ticket) (dialogs.Ref, dialogs.Ruling) {
	msg := w.observe(from)
	msg.Transaction = t.key
	return w.s.cfg.Monitor.Notify(msg)
}

// denied ends a NOTIFY that is not to be forwarded. Its record stays, so that
// retransmissions get the same answer, or the same silence.
func (w *worker) denied(from flow, t ticket, r dialogs.Ruling) {
	t.record = t.key
	tracked := !w.s.table.Full() && w.track(from, t, 0, false)
	if tracked && r.Safely {
		w.s.table.Close(t.record, w.at)
		e := transaction.Effect{Known: true, Key: t.record, Kind: transaction.Notify, From: from.origin(), Text: bytes.Clone(w.Msg.Raw)}
		w.s.answerFor(e, dialogs.Verdict{Status: r.Status, Reason: r.Reason, Safely: true})
		return
	}
	w.applyRuling(from, r)
	if !tracked {
		return
	}
	w.s.table.Close(t.record, w.at)
	if r.Status != 0 {
		w.s.table.Answered(t.record, w.Build)
	}
}

// stateless sends a request without a record.
func (w *worker) stateless(from flow, t ticket, h resolve.Hop) {
	err := w.emit(from, t, h)
	switch {
	case err == nil:
	case Crowded(err):
		w.overloaded(from, tooMuchWaiting)
	default:
		w.s.log.Debug().Err(err).Stringer("hop", h.Addr).Msg("next hop unreachable")
		w.unavailable(from, "Next Hop Unreachable")
	}
}

// outOfReach answers a request whose Route or Request-URI leads to where it may not go. The
// server is told that the subscription of its NOTIFY does not exist; the Monitor is not told.
func (w *worker) outOfReach(from flow, uri []byte) {
	w.s.sampled.Warn().Str("side", metrics.Sides[from.side()]).Str("uri", draft.Printable(uri)).Msg("requests are refused: they lead out of reach")
	if bytes.Equal(w.Msg.Method, mACK) {
		w.s.metrics.Dropped(metrics.DropUnreachable, 1)
		return
	}
	w.s.metrics.Refused(metrics.RefusedReach)
	to, _ := w.Msg.Value(wire.To)
	switch {
	case bytes.Equal(w.Msg.Method, mNOTIFY):
		w.refuse(from, 481, "Subscription Does Not Exist")
	case len(wire.Tag(to)) > 0:
		w.refuse(from, 481, "Call/Transaction Does Not Exist")
	default:
		w.refuse(from, 404, "Not Found")
	}
}
