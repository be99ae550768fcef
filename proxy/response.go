package proxy

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/metrics"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// response forwards a response to where its request came from (RFC 3261 16.7): the uppermost
// Via is ours and is removed, the next one says where the response goes.
func (w *worker) response(from flow) {
	m := &w.Msg
	w.s.metrics.Response(from.side(), m.Raw)
	if !w.s.trusted(from) {
		w.s.metrics.Dropped(metrics.DropUntrusted, 1)
		return
	}
	via, ok := wire.ParseVia(draft.FirstValue(m, wire.Via))
	if !ok || !w.s.sockets.OwnVia(&via) {
		w.s.metrics.Dropped(metrics.DropNotOurs, 1)
		return
	}
	if ours, known := w.s.Own.Response(via.Branch, m.Raw); ours {
		if !known {
			w.s.metrics.Dropped(metrics.DropNotOurs, 1)
		}
		return
	}
	b, ok := draft.ParseBranch(via.Branch)
	// A request that came by one side was sent by the other, and its response comes from
	// there. A response from the same side is forged.
	if !ok || b.Local >= len(w.s.sockets.All) || w.s.sockets.All[b.Local].Side == from.side() {
		w.s.metrics.Dropped(metrics.DropNotOurs, 1)
		return
	}
	if !w.relayable(b) {
		return // the transaction stays open: the response is repeated, or the deadline passes
	}
	_, method, _ := m.CSeqValue()
	routed := b
	if !w.settle(from, &b, method) {
		return
	}
	if from.side() == dialogs.Server {
		w.learner.Response(m, routed, method, w.now)
	}
	w.observeResponse(from, b, method)
	w.relay(b)
}

// observeResponse tells the Monitor of the end of a SUBSCRIBE or REGISTER.
func (w *worker) observeResponse(from flow, b draft.Branch, method []byte) {
	if w.Msg.Status < 200 || w.s.sockets.All[b.Local].Side != dialogs.Core {
		return
	}
	switch {
	case bytes.Equal(method, mSUBSCRIBE):
		w.s.cfg.Monitor.SubscribeDone(w.observe(from))
	case bytes.Equal(method, mREGISTER):
		w.s.cfg.Monitor.RegisterDone(w.observe(from))
	}
}

// settle tells the transaction, if there is one, of the response at hand. true: forward the
// response. b then leads to where the request came from last.
func (w *worker) settle(from flow, b *draft.Branch, method []byte) bool {
	m := &w.Msg
	q := transaction.Response{
		Kind: kindOf(method), Local: uint8(b.Local), Attempt: b.Attempt, Loop: b.Loop, Stream: b.Stream, Status: m.Status, //nolint:gosec // New bounds the sockets
		Wait: -1,
	}
	if m.Status >= 300 {
		q.Wait = waitOf(m)
	}
	e := w.s.table.Respond(recordKey(b.Key, method), w.at, &q)
	switch {
	case !e.Known:
		return true
	case e.Do.Has(transaction.Stray):
		w.s.metrics.Dropped(metrics.DropNotOurs, 1)
		return false
	}
	w.s.metrics.Retried(e.Tries, m.Status < 300)
	if e.Do.Has(transaction.Acknowledge) {
		w.s.acknowledge(m, from, *b, e)
	}
	if e.Do.Has(transaction.Release) {
		cancel := w.s.table.Release(e.Key^cancelTwist, w.at, e.Hop, e.Attempt)
		w.perform(cancel)
	}
	if e.Do&performed != 0 {
		w.perform(e)
	}
	b.Stream = e.From.Stream
	if e.Do.Has(transaction.Keep) {
		w.s.table.Answered(e.Key, w.Stripped())
	}
	relay := e.Do.Has(transaction.Relay)
	switch {
	case e.From.Own:
		if e.End != transaction.NotOver {
			w.s.delivered(finish(e, m), w.now)
		}
		return false
	case e.Kind != transaction.Notify || e.End == transaction.NotOver:
		return relay
	case e.Late:
		v := w.s.cfg.Monitor.NotifyDone(dialogs.Ref(e.Subject), w.s.outcome(finish(e, m), w.now, nil))
		if v.Relay { // the server was told nothing
			w.s.table.RelayLate(e.Key)
		}
		return v.Relay || relay
	case m.Status < 300:
		w.s.cfg.Monitor.NotifyDone(dialogs.Ref(e.Subject), dialogs.Outcome{
			Kind: dialogs.Responded, At: w.now, Status: m.Status, Reason: m.Reason, RetryAfter: -1, CSeq: e.CSeq, Hop: e.Hop.Addr,
			Tries: w.s.tries(e),
		})
		return true
	default:
		return w.judge(*b, finish(e, m))
	}
}

// waitOf is how long the sender of a request should wait after a failure before it sends the
// request again: Retry-After (RFC 3261 20.33), or up to two seconds after a 491 (14.1).
// Negative: it should not. A challenge is answered by the sender of the request, and a dialog
// that has ended does not come back.
func waitOf(m *wire.Message) time.Duration {
	after := m.Number(wire.RetryAfter)
	switch {
	case m.Status == 401 || m.Status == 407 || m.Status == 481 || m.Status == 489:
		return -1
	case after >= 0:
		return time.Duration(after) * time.Second
	case m.Status == 491:
		return time.Duration(rand.Int64N(int64(maxGlare))) //nolint:gosec // no secret
	default:
		return -1
	}
}

// maxGlare is the longest wait after a 491 of a side that did not begin the dialog.
const maxGlare = 2 * time.Second

// relayable removes our Via from the response at hand and tells whether the next Via says
// where to send it (RFC 3261 16.7 step 3).
func (w *worker) relayable(b draft.Branch) (ok bool) {
	if w.Below, ok = w.PopVia(); !ok {
		w.s.metrics.Dropped(metrics.DropNotOurs, 1)
		return false
	}
	w.back = netip.AddrPort{}
	if b.Stream != 0 || w.s.sockets.All[b.Local].Transport.Reliable() {
		return true
	}
	if w.back, ok = draft.ResponseAddr(&w.Below); !ok {
		w.s.metrics.Dropped(metrics.DropUnaddressed, 1)
	}
	return ok
}

// relay sends the response at hand, without our Via, to where the next Via says.
func (w *worker) relay(b draft.Branch) {
	l := w.s.sockets.All[b.Local]
	if b.Stream == 0 && !l.Transport.Reliable() {
		if w.back.IsValid() {
			w.out.Datagram(l, b.At, w.back, &w.Edits, w.Msg.Raw)
		}
		return
	}
	w.ContentLength()
	w.Build = w.Edits.AppendTo(w.Build[:0], w.Msg.Raw)
	ip, _ := draft.ResponseHost(&w.Below)
	if !w.out.WriteBack(l, b.Stream, ip, &w.Below, w.Build) {
		w.s.metrics.Dropped(metrics.DropStream, 1)
	}
}

// refuse answers the request at hand itself. false: it is an ACK, or there is nowhere to send
// the answer.
func (w *worker) refuse(from flow, status int, reason string, extra ...string) bool {
	if bytes.Equal(w.Msg.Method, mACK) {
		return false
	}
	b, ok := w.Answer(from.addr, status, reason, extra...)
	if !ok {
		return false
	}
	w.sendBack(from, b)
	return true
}

// sendBack sends a response of ours to the neighbour that a request came from
// (RFC 3261 18.2.2, RFC 3581 section 4). w.Via is the Via of that neighbour.
func (w *worker) sendBack(from flow, b []byte) {
	w.s.metrics.Response(from.side(), b)
	if from.socket.Transport.Reliable() || from.stream != 0 {
		if !w.out.WriteBack(from.socket, from.stream, from.addr.Addr(), &w.Via, b) {
			w.s.metrics.Dropped(metrics.DropStream, 1)
		}
		return
	}
	to := from.addr
	if maddr, ok := draft.MAddr(&w.Via); ok && w.s.trusted(from) {
		to = maddr
	} else if !w.Via.HasRPort {
		to = netip.AddrPortFrom(from.addr.Addr(), draft.SentByPort(&w.Via))
	}
	w.out.Copy(from.socket, from.at, to, b)
}
