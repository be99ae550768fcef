package proxy

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/transport"
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
	v, _ := m.Value(wire.Via)
	v, _ = wire.Split(v)
	via, ok := wire.ParseVia(v)
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
	if !ok || b.local >= len(w.s.locals) {
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
	key := b.key
	if bytes.Equal(method, mCANCEL) {
		key ^= cancelTwist
	}
	t := w.s.table
	s := t.shard(key)
	s.mu.Lock()
	r := s.byKey[key]
	if r == nil {
		s.mu.Unlock()
		return true
	}
	switch {
	case m.Status < 200:
		pass := w.provisional(s, r)
		s.mu.Unlock()
		return pass
	case r.phase == judged:
		e := w.ending(r, dialogs.Responded)
		tell := r.notify && !r.late
		r.late = true
		s.mu.Unlock()
		if tell {
			w.lateResponse(e)
		}
		return false
	case r.phase == answered:
		s.mu.Unlock()
		return true
	case m.Status == 503 && r.more():
		s.mu.Unlock()
		w.failed(key, r.stream, errBusy)
		return false
	}
	if !r.notify {
		w.finish(s, r)
		s.mu.Unlock()
		return true
	}
	ref, cseq := r.ref, r.cseq
	if m.Status < 300 {
		w.finish(s, r)
		s.mu.Unlock()
		w.s.cfg.Monitor.NotifyDone(ref, dialogs.Outcome{
			Kind: dialogs.Responded, At: w.now, Status: m.Status, Reason: m.Reason, RetryAfter: -1, CSeq: cseq, Hop: from.addr,
		})
		return true
	}
	e := w.ending(r, dialogs.Responded)
	r.phase = judged
	s.wheel.set(r, w.now.Add(64*w.s.cfg.T1)) // Timer J: retransmissions get the same answer
	s.mu.Unlock()
	return w.judge(e)
}

// provisional notes a provisional response. 100 is for one hop only.
func (w *worker) provisional(s *shard, r *record) bool {
	if r.phase != open {
		return false
	}
	r.proceeding = true
	if r.invite {
		r.resend, r.resendAt = false, time.Time{}
		r.giveUp = w.now.Add(timerC)
		s.wheel.set(r, w.next(r))
	}
	return w.msg.Status != 100
}

// lingerT4 is Timer K (RFC 3261 17.1.2.2): how long a retransmission may still be
// under way.
const lingerT4 = 5 * time.Second

// finish marks a record answered. It stays for a while, because a retransmission
// may still be under way: where the request left by a stream the response is kept
// for it, elsewhere the retransmission follows the same path again.
func (w *worker) finish(s *shard, r *record) {
	t := w.s.table
	switch {
	case r.absorb && !r.from.local.network.reliable() && !r.invite:
		r.phase = answered
		r.answer = append(r.answer[:0], w.stripped()...)
		s.wheel.set(r, w.now.Add(64*w.s.cfg.T1))
	case r.notify && !r.from.local.network.reliable() && t.n.Load() < t.limit/2:
		r.phase = answered
		s.wheel.set(r, w.now.Add(lingerT4))
	default:
		t.remove(s, r)
	}
}

// relay pops our Via and sends the response along the next one.
func (w *worker) relay(b branch) {
	raw, via, ok := w.popVia()
	if !ok {
		w.s.metrics.dropped(dropNotOurs, 1)
		return
	}
	l := w.s.locals[b.local]
	if b.stream != 0 || l.network.reliable() {
		w.relayStream(l, b.stream, &via, raw)
		return
	}
	to, ok := responseAddr(&via)
	if !ok {
		w.s.metrics.dropped(dropUnaddressed, 1)
		return
	}
	w.datagram(l, to, raw)
}

// popVia prepares the edit that takes our Via away and gives the one below it.
func (w *worker) popVia() ([]byte, wire.ViaValue, bool) {
	m := &w.msg
	w.edits.Reset()
	w.text = w.text[:0]
	first := m.First(wire.Via)
	v := m.At(first)
	if _, next := wire.Split(v); next >= 0 && next < len(v) {
		w.edits.Delete(m.Lines[first].Value, m.Lines[first].Value+next)
		v, _ = wire.Split(v[next:])
	} else {
		w.edits.Delete(m.Lines[first].Start, m.Lines[first].End)
		second := m.Next(first)
		if second < 0 {
			return nil, wire.ViaValue{}, false
		}
		v, _ = wire.Split(m.At(second))
	}
	via, ok := wire.ParseVia(v)
	return m.Raw, via, ok
}

// stripped is the response at hand as it leaves.
func (w *worker) stripped() []byte {
	raw, _, ok := w.popVia()
	if !ok {
		return nil
	}
	w.build = w.edits.AppendTo(w.build[:0], raw)
	return w.build
}

// relayStream sends over the connection that the request came by. If that is
// gone, a new one is opened to where the Via says (RFC 3261 18.2.2).
func (w *worker) relayStream(l *local, id uint64, via *wire.ViaValue, raw []byte) {
	var st *transport.Stream
	if id != 0 {
		st = w.s.streams[l.side].Get(id)
	}
	if st == nil {
		port := via.Port
		if port == 0 {
			port = 5060
		}
		host := via.Host
		if len(via.Received) > 0 {
			host = via.Received
		}
		if ip, ok := parseIP(host); ok {
			st = w.s.streams[l.side].To(netip.AddrPortFrom(ip, uint16(port)), l.network == tlsnet, "") //nolint:gosec // a port
		}
	}
	if w.msg.Length < 0 {
		w.edits.Insert(w.headEnd(), w.scratch("Content-Length: ", strconv.Itoa(len(raw)-w.msg.Body), "\r\n"))
	}
	w.build = w.edits.AppendTo(w.build[:0], raw)
	if st == nil || st.Write(w.build) != nil {
		w.s.metrics.dropped(dropStream, 1)
	}
}

// responseAddr is where a Via sends its response over UDP (RFC 3261 18.2.2, RFC
// 3581 section 4).
func responseAddr(via *wire.ViaValue) (netip.AddrPort, bool) {
	host := via.Host
	if len(via.Received) > 0 {
		host = via.Received
	}
	if len(host) > 2 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	ip, ok := parseIP(host)
	if !ok {
		return netip.AddrPort{}, false
	}
	port := via.Port
	if n, ok := wire.Uint(via.RPort); ok && n > 0 && n < 1<<16 {
		port = int(n)
	}
	if port == 0 {
		port = 5060
	}
	return netip.AddrPortFrom(ip, uint16(port)), true //nolint:gosec // a port
}
