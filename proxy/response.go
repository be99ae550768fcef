package proxy

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// response passes a response on to where its request came from (RFC 3261 16.7):
// the uppermost Via is ours and goes, the next one leads.
func (w *worker) response(from flow) {
	m := &w.Msg
	w.s.metrics.response(from.side(), m.Raw)
	if !w.s.trusted(from) {
		w.s.metrics.dropped(dropUntrusted, 1)
		return
	}
	via, ok := wire.ParseVia(draft.FirstValue(m, wire.Via))
	if !ok || !w.s.ownVia(&via) {
		w.s.metrics.dropped(dropNotOurs, 1)
		return
	}
	if w.s.cfg.OwnResponse != nil && bytes.HasPrefix(via.Branch, w.s.own.prefix) {
		if !w.s.cfg.OwnResponse(m.Raw) {
			w.s.metrics.dropped(dropNotOurs, 1)
		}
		return
	}
	b, ok := draft.ParseBranch(via.Branch)
	// What came in by one side has left by the other, and its response comes
	// from there; a response from elsewhere is somebody's invention.
	if !ok || b.Local >= len(w.s.locals) || w.s.locals[b.Local].side == from.side() {
		w.s.metrics.dropped(dropNotOurs, 1)
		return
	}
	if !w.relayable(b) {
		return // and nothing has ended by it: its sender repeats it, or the deadline comes
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
	if w.Msg.Status < 200 || w.s.locals[b.Local].side != dialogs.Core {
		return
	}
	switch {
	case bytes.Equal(method, mSUBSCRIBE):
		w.s.cfg.Monitor.SubscribeDone(w.observe(from))
	case bytes.Equal(method, mREGISTER):
		w.s.cfg.Monitor.RegisterDone(w.observe(from))
	}
}

// settle tells the transaction of the response at hand, if there is one. true: pass
// the response on. b then leads to where the request came from last.
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
		w.s.metrics.dropped(dropNotOurs, 1)
		return false
	}
	w.s.metrics.retried(e.Tries, m.Status < 300)
	if e.Do.Has(transaction.Acknowledge) {
		w.acknowledge(from, *b, e)
	}
	if e.Do.Has(transaction.Release) {
		cancel := w.s.table.Release(e.Key^cancelTwist, w.at, e.Hop, e.Attempt)
		w.carry(cancel)
	}
	if e.Do&forCarry != 0 {
		w.carry(e)
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
		return w.lateResponse(finish(e, m)) || relay
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

// waitOf is how long a failure asks to wait before the request is sent again: what its
// Retry-After says (RFC 3261 20.33), up to two seconds after a 491 (14.1). Negative: it
// does not ask for that. A challenge is answered by who sent the request, and a dialog
// that is gone does not come back.
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

// maxGlare is the longest pause after a 491 for who did not begin the dialog.
const maxGlare = 2 * time.Second

// relayable takes our Via off the response at hand and tells whether the one below it
// leads anywhere (RFC 3261 16.7 step 3).
func (w *worker) relayable(b draft.Branch) (ok bool) {
	if w.Below, ok = w.PopVia(); !ok {
		w.s.metrics.dropped(dropNotOurs, 1)
		return false
	}
	w.back = netip.AddrPort{}
	if b.Stream != 0 || w.s.locals[b.Local].transport.Reliable() {
		return true
	}
	if w.back, ok = draft.ResponseAddr(&w.Below); !ok {
		w.s.metrics.dropped(dropUnaddressed, 1)
	}
	return ok
}

// relay sends the response at hand, without our Via, along the next one.
func (w *worker) relay(b draft.Branch) {
	l := w.s.locals[b.Local]
	if b.Stream != 0 || l.transport.Reliable() {
		w.relayStream(l, b.Stream, &w.Below)
		return
	}
	if w.back.IsValid() {
		w.datagram(l, b.At, w.back, &w.Edits, w.Msg.Raw)
	}
}

// relayStream sends over the connection that the request came by.
func (w *worker) relayStream(l *local, id uint64, via *wire.ViaValue) {
	var to netip.AddrPort
	if ip, ok := draft.ResponseHost(via); ok {
		to = netip.AddrPortFrom(ip, draft.SentByPort(via))
	}
	w.ContentLength()
	w.Build = w.Edits.AppendTo(w.Build[:0], w.Msg.Raw)
	if !w.writeBack(l, id, to, w.Build) {
		w.s.metrics.dropped(dropStream, 1)
	}
}
