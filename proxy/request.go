package proxy

import (
	"bytes"
	"errors"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// Methods that are treated in a way of their own.
var (
	mACK       = []byte("ACK")
	mCANCEL    = []byte("CANCEL")
	mINVITE    = []byte("INVITE")
	mMESSAGE   = []byte("MESSAGE")
	mNOTIFY    = []byte("NOTIFY")
	mREGISTER  = []byte("REGISTER")
	mSUBSCRIBE = []byte("SUBSCRIBE")
)

// malformed answers what cannot be forwarded, if an answer can be addressed.
func (w *worker) malformed(from flow, err error) {
	w.Via, _ = wire.ParseVia(draft.FirstValue(&w.Msg, wire.Via))
	if !w.Msg.Request || !w.s.trusted(from) {
		w.s.metrics.dropped(dropMalformed, 1)
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
		w.s.metrics.dropped(dropMalformed, 1)
		return
	}
	w.s.metrics.refused(refusedMalformed)
}

// request checks a request (RFC 3261 16.3) and sends it on its way.
func (w *worker) request(from flow) {
	m := &w.Msg
	w.Next()
	w.s.metrics.request(from.side(), m.Method)
	var ok bool
	if w.Via, ok = wire.ParseVia(draft.FirstValue(m, wire.Via)); !ok {
		w.s.metrics.dropped(dropMalformed, 1) // nobody could be told
		return
	}
	if !w.s.trusted(from) {
		w.s.metrics.refused(refusedUntrusted)
		if w.s.strangers.take(w.now) {
			w.Via.HasRPort = true // back to where it came from, and to no port of its choice
			w.refuse(from, 403, "Forbidden")
		}
		return
	}
	if w.endsHere(from) {
		return
	}
	t := ticket{key: w.TransactionKey(byte(from.side())), loop: w.LoopHash(byte(from.side())), since: w.at}
	looped, spiral := w.s.passed(m, t.loop)
	if looped {
		w.s.metrics.refused(refusedLoop)
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

// endsHere answers, or drops, a request that goes no further; false: it does.
func (w *worker) endsHere(from flow) bool {
	m := &w.Msg
	if v, ok := m.Value(wire.MaxForwards); ok {
		if n, _ := wire.Uint(v); n == 0 {
			w.s.metrics.refused(refusedMaxForwards)
			w.refuse(from, 483, "Too Many Hops")
			return true
		}
	}
	switch to, _ := m.Value(wire.To); {
	case w.OwnACK():
		w.s.table.Follow(w.TransactionKey(byte(from.side())), true)
	case w.badExtension(from):
	case w.s.own.returned(m, from):
		w.s.metrics.refused(refusedOwn)
		w.refuse(from, 482, "Loop Detected")
	case w.s.own.forIdentity(m, from):
		w.refuse(from, 200, "OK")
	case bytes.Equal(m.Method, mREGISTER) && len(wire.Tag(to)) > 0:
		// There is no REGISTER in a dialog (RFC 3261 10.2), and none of third parties.
		w.s.metrics.refused(refusedMalformed)
		w.refuse(from, 481, "Dialog Does Not Exist")
	default:
		return false
	}
	return true
}

// badExtension answers 420 to a Proxy-Require (RFC 3261 16.3 step 5): rewatch
// supports no extension that needs a proxy's help.
func (w *worker) badExtension(from flow) bool {
	if w.Msg.First(wire.ProxyRequire) < 0 || bytes.Equal(w.Msg.Method, mACK) || bytes.Equal(w.Msg.Method, mCANCEL) {
		return false
	}
	var tags []byte
	for values := w.Msg.Values(wire.ProxyRequire); ; {
		tag, _, ok := values.Next()
		if !ok {
			break
		}
		tags = append(append(tags, ", "...), tag...)
	}
	if len(tags) == 0 {
		return false
	}
	w.s.metrics.refused(refusedExtension)
	w.refuse(from, 420, "Bad Extension", "Unsupported: "+draft.Printable(tags[2:]))
	return true
}

// deny is the answer to what a stranger says over a connection; nil to anything
// but a request that can be answered.
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
	s.metrics.request(dialogs.Core, w.Msg.Method)
	b, ok := w.Answer(peer, 403, "Forbidden")
	if !ok {
		return nil
	}
	s.metrics.response(dialogs.Core, b)
	return bytes.Clone(b)
}

// trusted tells whether the neighbour may talk to us. The server side is bound to
// the pod; the core side is open to REWATCH_TRUSTED.
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

// ruled asks the Monitor about the methods that it watches, NOTIFYs of the
// server excepted: those are asked about when their record is made. false: the
// request has been answered.
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
	return w.obey(from, r)
}

// denies tells whether a ruling ends the request here.
func denies(r dialogs.Ruling) bool { return r.Silent || r.Status != 0 }

// obey carries out a ruling; true: go on forwarding.
func (w *worker) obey(from flow, r dialogs.Ruling) bool {
	switch {
	case r.Silent:
		w.s.metrics.dropped(dropRuled, 1)
		return false
	case r.Status == 0:
		return true
	}
	if r.Status >= 300 {
		w.s.metrics.refused(refusedRuled)
	}
	w.refuse(from, r.Status, r.Reason)
	return false
}
