package proxy

import (
	"bytes"
	"errors"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/metrics"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// Methods that are handled in a special way.
var (
	mACK       = []byte("ACK")
	mCANCEL    = []byte("CANCEL")
	mINVITE    = []byte("INVITE")
	mNOTIFY    = []byte("NOTIFY")
	mREGISTER  = []byte("REGISTER")
	mSUBSCRIBE = []byte("SUBSCRIBE")
)

// malformed answers a request that cannot be parsed, if it says where an answer goes.
func (w *worker) malformed(from flow, err error) {
	w.Via, _ = wire.ParseVia(draft.FirstValue(&w.Msg, wire.Via))
	if !w.Msg.Request || !w.s.trusted(from) {
		w.s.metrics.Dropped(metrics.DropMalformed, 1)
		return
	}
	status, reason := 400, "Bad Request ("+err.Error()+")"
	var he *wire.HeaderError
	switch {
	case errors.Is(err, transport.ErrTooLarge):
		status, reason = 513, "Message Too Large"
	case errors.As(err, &he) && he.Status() == 505:
		status, reason = 505, "Version Not Supported"
	}
	if !w.refuse(from, status, reason) {
		w.s.metrics.Dropped(metrics.DropMalformed, 1)
		return
	}
	w.s.metrics.Refused(metrics.RefusedMalformed)
}

// request checks a request (RFC 3261 16.3) and forwards it.
func (w *worker) request(from flow) {
	m := &w.Msg
	w.Next()
	w.s.metrics.Request(from.side(), m.Method)
	var ok bool
	if w.Via, ok = wire.ParseVia(draft.FirstValue(m, wire.Via)); !ok {
		w.s.metrics.Dropped(metrics.DropMalformed, 1) // there is no Via to send an answer by
		return
	}
	if !w.s.trusted(from) {
		w.s.metrics.Refused(metrics.RefusedUntrusted)
		if w.s.strangers.take(w.now) {
			w.Via.HasRPort = true // to the port that it came from, not to one that it names
			w.refuse(from, 403, "Forbidden")
		}
		return
	}
	if w.endsHere(from) {
		return
	}
	t := ticket{key: w.TransactionKey(byte(from.side())), loop: w.LoopHash(byte(from.side())), since: w.at}
	looped, spiral := w.s.sockets.Passed(m, t.loop)
	if looped {
		w.s.metrics.Refused(metrics.RefusedLoop)
		w.refuse(from, 482, "Loop Detected")
		return
	}
	if !w.again(from, t) {
		if !spiral && from.side() == dialogs.Server {
			w.learner.Request(&w.Msg, w.now)
		}
		w.forward(from, t)
	}
}

// endsHere answers, or drops, a request that is not forwarded; false: the request is to be
// forwarded.
func (w *worker) endsHere(from flow) bool {
	m := &w.Msg
	if v, ok := m.Value(wire.MaxForwards); ok {
		if n, _ := wire.Uint(v); n == 0 {
			w.s.metrics.Refused(metrics.RefusedMaxForwards)
			w.refuse(from, 483, "Too Many Hops")
			return true
		}
	}
	to, _ := m.Value(wire.To)
	extensions := unsupported(m)
	switch {
	case w.OwnACK():
		w.s.table.Follow(w.TransactionKey(byte(from.side())), true)
	case len(extensions) > 0:
		w.s.metrics.Refused(metrics.RefusedExtension)
		w.refuse(from, 420, "Bad Extension", "Unsupported: "+draft.Printable(extensions))
	case w.s.Own.Returned(m, from.side(), from.addr):
		w.s.metrics.Refused(metrics.RefusedOwn)
		w.refuse(from, 482, "Loop Detected")
	case w.s.Own.ForIdentity(m, from.side()):
		w.refuse(from, 200, "OK")
	case bytes.Equal(m.Method, mREGISTER) && len(wire.Tag(to)) > 0:
		// A REGISTER is never in a dialog (RFC 3261 10.2), neither is a third-party one.
		w.s.metrics.Refused(metrics.RefusedMalformed)
		w.refuse(from, 481, "Dialog Does Not Exist")
	default:
		return false
	}
	return true
}

// unsupported lists the extensions in Proxy-Require (RFC 3261 16.3 step 5): rewatch supports
// none that needs a proxy's help. In an ACK or CANCEL they are ignored.
func unsupported(m *wire.Message) (extensions []byte) {
	if m.First(wire.ProxyRequire) < 0 || bytes.Equal(m.Method, mACK) || bytes.Equal(m.Method, mCANCEL) {
		return nil
	}
	for values := m.Values(wire.ProxyRequire); ; {
		tag, _, ok := values.Next()
		if !ok {
			return extensions
		}
		if len(extensions) > 0 {
			extensions = append(extensions, ", "...)
		}
		extensions = append(extensions, tag...)
	}
}

// deny makes the answer to the first message on a connection of a host that is not trusted;
// nil: the message is no request that can be answered.
func (s *Server) deny(peer netip.AddrPort, raw []byte) []byte {
	w := s.borrow()
	defer s.giveBack(w)
	if wire.Scan(raw, &w.Msg) != nil || w.Msg.Check() != nil || !w.Msg.Request || bytes.Equal(w.Msg.Method, mACK) {
		return nil
	}
	var ok bool
	if w.Via, ok = wire.ParseVia(draft.FirstValue(&w.Msg, wire.Via)); !ok {
		return nil
	}
	s.metrics.Request(dialogs.Core, w.Msg.Method)
	b, ok := w.Answer(peer, 403, "Forbidden")
	if !ok {
		return nil
	}
	s.metrics.Response(dialogs.Core, b)
	return bytes.Clone(b)
}

// trusted tells whether a neighbour may send to us. The server side is bound to the pod; the
// core side is open to REWATCH_TRUSTED.
func (s *Server) trusted(from flow) bool {
	return from.side() == dialogs.Server || s.admits(from.addr.Addr())
}

func (s *Server) admits(ip netip.Addr) bool {
	for _, p := range s.cfg.Trusted {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// ruled asks the Monitor about a request of the core, and carries out its ruling. The Monitor
// is asked about a NOTIFY of the server when its record is made. false: the request has been
// answered.
func (w *worker) ruled(from flow) bool {
	m := &w.Msg
	var r dialogs.Ruling
	switch {
	case from.side() != dialogs.Core:
		return true
	case bytes.Equal(m.Method, mSUBSCRIBE):
		r = w.s.cfg.Monitor.Subscribe(w.observe(from))
	case bytes.Equal(m.Method, mREGISTER):
		r = w.s.cfg.Monitor.Register(w.observe(from))
	default:
		if w.s.cfg.Monitor.Waits() {
			w.s.cfg.Monitor.Heard(w.observe(from))
		}
		return true
	}
	return w.applyRuling(from, r)
}

// denies tells whether a ruling ends the request here.
func denies(r dialogs.Ruling) bool { return r.Silent || r.Status != 0 }

// applyRuling carries out a ruling; true: go on forwarding.
func (w *worker) applyRuling(from flow, r dialogs.Ruling) bool {
	switch {
	case r.Silent:
		w.s.metrics.Dropped(metrics.DropRuled, 1)
		return false
	case r.Status == 0:
		return true
	}
	if r.Status >= 300 {
		w.s.metrics.Refused(metrics.RefusedRuled)
	}
	w.refuse(from, r.Status, r.Reason)
	return false
}
