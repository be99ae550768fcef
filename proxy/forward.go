package proxy

import (
	"bytes"
	"errors"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// ticket goes with a request from its checks to its Via.
type ticket struct {
	key  uint64
	loop uint32
	// attempt counts the next hops that were tried.
	attempt uint8
	// record is the key of its record, 0 if it has none.
	record uint64
	// since is when it came, trying that its client has had a 100, told that it has had
	// the final answer.
	since        transaction.Moment
	trying, told bool
}

// forward finds the next hop of the request at hand and launches it. Where a name
// has to be resolved first, a copy of the request waits for the answer: true.
func (w *worker) forward(from flow, t ticket) (waits bool) {
	d := w.route(from)
	if w.Edits.Room() < draft.HopEdits {
		w.s.metrics.refused(refusedMalformed)
		w.refuse(from, 400, "Bad Request (too many Route fields)")
		return false
	}
	if w.follows(from, t) {
		return false
	}
	if d.Server && !bytes.Equal(w.Msg.Method, mACK) && (w.waits(from) || w.s.health.Refuses(t.key, w.now)) {
		w.unavailable(from, "Presence Server Unavailable")
		return false
	}
	id, _ := w.Msg.Value(wire.CallID)
	pending, err := w.candidates(d, id, w.now)
	switch {
	case err != nil:
		w.s.log.Debug().Err(err).Str("uri", string(d.URI)).Msg("no next hop")
		w.stuck(from, t, err)
	case pending != (resolve.Target{}):
		return w.park(from, t, pending)
	default:
		if d.Server && !bytes.Equal(w.Msg.Method, mACK) {
			w.s.health.Expects(w.now)
		}
		w.large(from)
		w.launch(from, t)
	}
	return false
}

// follows sends a CANCEL, or the ACK of a failure, after its INVITE, if where that went
// is remembered; false: it is not.
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
	w.hops = append(w.hops[:0], e.Hop)
	switch {
	case e.Do.Has(transaction.Forward):
		w.launch(from, t)
	case e.Do.Has(transaction.Hold):
		t.record = recordKey(t.key, w.Msg.Method)
		w.track(from, t, 0, true)
	}
	if !ack { // at once, whatever its INVITE meets with (RFC 3261 16.10)
		w.refuse(from, 200, "OK")
	}
	return true
}

// unavailable answers 503: the next hop cannot be reached.
func (w *worker) unavailable(from flow, reason string) {
	if bytes.Equal(w.Msg.Method, mACK) {
		w.s.metrics.dropped(dropUnreachable, 1)
		return
	}
	if w.standIn(from) {
		return
	}
	w.s.metrics.refused(refusedUnavailable)
	w.refuse(from, 503, reason, come(&w.Draft, from)...)
}

// stuck ends a request that no next hop could be found for. A NOTIFY of the server
// has failed then as one whose hops are all dead (RFC 3263 4.3).
func (w *worker) stuck(from flow, t ticket, err error) {
	switch {
	case errors.Is(err, errReach):
		w.beyond(from, w.way.URI)
		return
	case from.notifies(w.Msg.Method) && !w.s.table.Full():
	case crowded(err):
		w.overloaded(from, tooManyParked)
		return
	case errors.Is(err, resolve.ErrNotSIP): // and nobody else to ask (RFC 3261 16.3 step 2)
		w.s.metrics.refused(refusedUnavailable)
		w.refuse(from, 416, "Unsupported URI Scheme")
		return
	default:
		w.unavailable(from, "No Next Hop")
		return
	}
	w.hops = append(w.hops[:0], resolve.Hop{})
	ref, ruling := w.announce(from, t)
	switch {
	case ruling.Again:
		w.s.metrics.dropped(dropUnreachable, 1)
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
// first of w.hops.
func (w *worker) launch(from flow, t ticket) {
	notify := from.notifies(w.Msg.Method)
	h := w.hops[0]
	stateful := from.local.transport.Reliable() || h.Transport.Reliable()
	if stateful && w.s.sheds(&w.Msg, from) {
		w.overloaded(from, tooManyOpen)
		return
	}
	if !notify && !w.ruled(from) {
		return
	}
	var ref dialogs.Ref
	switch {
	case w.registers(from):
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
		w.s.metrics.untracked(notify)
		w.stateless(from, t, h)
		return
	}
	t.record = recordKey(t.key, w.Msg.Method)
	if !w.track(from, t, ref, false) {
		return // the same request, at the same moment, by another reader
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

// denied ends a NOTIFY that is not to be forwarded. Its record answers, or meets
// with silence, what the server sends again.
func (w *worker) denied(from flow, t ticket, r dialogs.Ruling) {
	t.record = t.key
	tracked := !w.s.table.Full() && w.track(from, t, 0, false)
	if tracked && r.Safely {
		w.s.table.Close(t.record, w.at)
		e := transaction.Effect{Known: true, Key: t.record, Kind: transaction.Notify, From: from.origin(), Text: bytes.Clone(w.Msg.Raw)}
		w.s.answerFor(e, dialogs.Verdict{Status: r.Status, Reason: r.Reason, Safely: true})
		return
	}
	w.obey(from, r)
	if !tracked {
		return
	}
	w.s.table.Close(t.record, w.at)
	if r.Status != 0 {
		w.s.table.Answered(t.record, w.Build)
	}
}

// stateless sends a request of which nothing is remembered.
func (w *worker) stateless(from flow, t ticket, h resolve.Hop) {
	err := w.emit(from, t, h)
	switch {
	case err == nil:
	case crowded(err):
		w.overloaded(from, tooMuchWaiting)
	default:
		w.s.log.Debug().Err(err).Stringer("hop", h.Addr).Msg("next hop unreachable")
		w.unavailable(from, "Next Hop Unreachable")
	}
}
