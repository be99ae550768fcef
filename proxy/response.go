package proxy

import (
	"bytes"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/wire"
)

// response passes a response on to where its request came from (RFC 3261 16.7):
// the uppermost Via is ours and goes, the next one leads.
func (w *worker) response(from flow) {
	m := &w.msg
	w.s.metrics.response(from.side(), m.Raw)
	if !w.s.trusted(from) {
		w.s.metrics.dropped(dropUntrusted, 1)
		return
	}
	if from.side() == dialogs.Server {
		w.s.health.seen(w.now)
	}
	via, ok := wire.ParseVia(firstValue(m, wire.Via))
	if !ok || !w.s.ownVia(&via) {
		w.s.metrics.dropped(dropNotOurs, 1)
		return
	}
	if w.s.cfg.OwnResponse != nil && bytes.HasPrefix(via.Branch, w.s.ownPrefix) {
		if !w.s.cfg.OwnResponse(m.Raw) {
			w.s.metrics.dropped(dropNotOurs, 1)
		}
		return
	}
	b, ok := parseBranch(via.Branch)
	// What came in by one side has left by the other, and its response comes
	// from there; a response from elsewhere is somebody's invention.
	if !ok || b.local >= len(w.s.locals) || w.s.locals[b.local].side == from.side() {
		w.s.metrics.dropped(dropNotOurs, 1)
		return
	}
	_, method, _ := m.CSeqValue()
	if !w.settle(from, b, method) {
		return
	}
	w.observeResponse(from, b, method)
	w.relay(b)
}

// observeResponse tells the Monitor of the end of a SUBSCRIBE or REGISTER.
func (w *worker) observeResponse(from flow, b branch, method []byte) {
	if w.msg.Status < 200 || w.s.locals[b.local].side != dialogs.Core {
		return
	}
	switch {
	case bytes.Equal(method, mSUBSCRIBE):
		w.s.cfg.Monitor.SubscribeDone(w.observe(from))
	case bytes.Equal(method, mREGISTER):
		w.s.cfg.Monitor.RegisterDone(w.observe(from))
	}
}

// settle brings the record of the transaction, if there is one, up to date. true:
// pass the response on.
func (w *worker) settle(from flow, b branch, method []byte) bool {
	m := &w.msg
	key := recordKey(b.key, method)
	s, r := w.s.table.lock(key)
	if r == nil {
		s.mu.Unlock()
		return true
	}
	switch {
	case !r.answeredBy(b, method):
		s.mu.Unlock()
		w.s.metrics.dropped(dropNotOurs, 1)
		return false
	case m.Status < 200:
		pass := w.provisional(s, r)
		s.mu.Unlock()
		return pass
	case r.phase == judged:
		return w.afterVerdict(s, r) // unlocks
	case r.phase == answered:
		s.mu.Unlock()
		return true
	case m.Status == 503 && (b.attempt != r.attempt%letters || len(r.more.rest) > 0):
		attempt := b.attempt
		s.mu.Unlock()
		w.failed(key, failure{err: errBusy, told: true, attempt: attempt})
		return false
	}
	if !r.notify {
		w.finish(s, r)
		s.mu.Unlock()
		return true
	}
	// The hop is named by where the NOTIFY went: its answers may come from elsewhere.
	ref, cseq, hop := r.ref, r.cseq, r.to
	if m.Status < 300 {
		w.finish(s, r)
		s.mu.Unlock()
		w.s.cfg.Monitor.NotifyDone(ref, dialogs.Outcome{
			Kind: dialogs.Responded, At: w.now, Status: m.Status, Reason: m.Reason, RetryAfter: -1, CSeq: cseq, Hop: hop,
		})
		return true
	}
	e := w.ending(r, dialogs.Responded)
	w.judged(s, r)
	s.mu.Unlock()
	return w.judge(e)
}

// answeredBy tells whether a response belongs to the transaction of r (RFC 3261
// 17.1.3). A branch that merely has its key was not made here.
func (r *record) answeredBy(b branch, method []byte) bool {
	return b.loop == r.loop && b.local == r.from.local.index && b.stream == r.from.stream &&
		(!r.notify || bytes.Equal(method, mNOTIFY)) && (!r.invite || bytes.Equal(method, mINVITE))
}

// afterVerdict handles a response that comes when rewatch has answered in its
// place. The 2xx of an INVITE always goes through (RFC 3261 16.7 step 5), else a
// call would be up at one end only. It gives the lock free.
func (w *worker) afterVerdict(s *shard, r *record) bool {
	status := w.msg.Status
	relay := r.lateRelay || (r.invite && status < 300)
	if !r.untold(status) {
		s.mu.Unlock()
		return relay
	}
	r.late = true
	e := w.ending(r, dialogs.Responded)
	s.mu.Unlock()
	return w.lateResponse(e)
}

// provisional notes a provisional response. 100 is for one hop only.
func (w *worker) provisional(s *shard, r *record) bool {
	if r.phase != open {
		return false
	}
	r.proceeding = true
	if r.invite {
		r.resend = false
		r.quiet()
		r.giveUp = w.at.add(timerC)
		s.wheel.set(r, r.due(w.s.cfg.T1))
	}
	return w.msg.Status != 100
}

// relay pops our Via and sends the response along the next one.
func (w *worker) relay(b branch) {
	via, ok := w.popVia()
	if !ok {
		w.s.metrics.dropped(dropNotOurs, 1)
		return
	}
	l := w.s.locals[b.local]
	if b.stream != 0 || l.transport.Reliable() {
		w.relayStream(l, b.stream, &via)
		return
	}
	to, ok := responseAddr(&via)
	if !ok {
		w.s.metrics.dropped(dropUnaddressed, 1)
		return
	}
	w.datagram(l, b.at, to, w.msg.Raw)
}

// stripped is the response at hand as it leaves; valid until the next message is
// built.
func (w *worker) stripped() []byte {
	if _, ok := w.popVia(); !ok {
		return nil
	}
	w.build = w.edits.AppendTo(w.build[:0], w.msg.Raw)
	return w.build
}

// relayStream sends over the connection that the request came by.
func (w *worker) relayStream(l *local, id uint64, via *wire.ViaValue) {
	var to netip.AddrPort
	if ip, ok := responseHost(via); ok {
		to = netip.AddrPortFrom(ip, sentByPort(via))
	}
	w.contentLength()
	w.build = w.edits.AppendTo(w.build[:0], w.msg.Raw)
	if !w.writeBack(l, id, to, w.build) {
		w.s.metrics.dropped(dropStream, 1)
	}
}
