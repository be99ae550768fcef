package proxy

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// ticket goes with a request from its checks to its Via.
type ticket struct {
	key  uint64
	loop uint32
	// record is the key of its record, 0 if it has none.
	record uint64
}

// candidates are the hops to try in turn: one literal address, which costs
// nothing, or a list.
type candidates struct {
	first hop
	list  []hop // nil: only first
}

// forward finds the next hop of the request at hand and launches it. Where a name
// has to be resolved first, a copy of the request waits for the answer.
func (w *worker) forward(from flow, t ticket) {
	d := w.route(from)
	if d.server && w.s.health.down() && !bytes.Equal(w.msg.Method, mACK) {
		w.unavailable(from, "Presence Server Unavailable")
		return
	}
	c, pending, err := w.candidates(d)
	switch {
	case err != nil:
		w.s.log.Debug().Err(err).Str("uri", string(d.uri)).Msg("no next hop")
		w.unavailable(from, "No Next Hop")
	case pending != (resolve.Target{}):
		w.park(from, pending)
	default:
		w.launch(from, t, c)
	}
}

// unavailable answers 503: the next hop cannot be reached.
func (w *worker) unavailable(from flow, reason string) {
	w.s.metrics.refused(refusedUnavailable)
	w.refuse(from, 503, reason)
}

// candidates resolves a destination. pending is set if the answer is not known yet.
func (w *worker) candidates(d destination) (c candidates, pending resolve.Target, err error) {
	if d.core {
		return w.coreHops()
	}
	if h, ok := literal(d.uri, d.side); ok {
		c.first = h
		return c, pending, nil
	}
	return w.lookup(d.uri, d.side)
}

func (w *worker) lookup(uri []byte, side dialogs.Side) (c candidates, pending resolve.Target, err error) {
	t, err := resolve.ParseURI(uri)
	if err != nil {
		return c, pending, err
	}
	hops, ok := w.s.cfg.Resolver.Lookup(t)
	if !ok {
		return c, t, nil
	}
	for _, h := range hops {
		n, err := parseNetwork(h.Transport)
		if err != nil {
			continue
		}
		c.list = append(c.list, hop{side: side, network: n, addr: h.Addr, name: h.ServerName})
	}
	if len(c.list) == 0 {
		return c, pending, errNoHop
	}
	c.first = c.list[0]
	return c, pending, nil
}

// coreHops are those of REWATCH_CORE, in the order in which they were named.
func (w *worker) coreHops() (c candidates, pending resolve.Target, err error) {
	for _, uri := range w.s.coreURIs {
		if h, ok := literal(uri, dialogs.Core); ok {
			c.list = append(c.list, h)
			continue
		}
		more, wait, e := w.lookup(uri, dialogs.Core)
		if e != nil {
			err = e
			continue
		}
		if wait != (resolve.Target{}) {
			pending = wait
			continue
		}
		c.list = append(c.list, more.list...)
	}
	if len(c.list) == 0 {
		return c, pending, err
	}
	c.first = c.list[0]
	return c, resolve.Target{}, nil
}

// park keeps a copy of the request until its next hop is known.
func (w *worker) park(from flow, t resolve.Target) {
	s := w.s
	if s.parked.Add(1) > maxParked {
		s.parked.Add(-1)
		w.unavailable(from, "Too Many Requests Waiting For DNS")
		return
	}
	raw := slices.Clone(w.msg.Raw)
	s.cfg.Resolver.Await(t, func(hops []resolve.Hop, err error) {
		defer s.parked.Add(-1)
		w := s.borrow()
		defer s.giveBack(w)
		if err == nil && len(hops) > 0 {
			w.message(from, raw)
			return
		}
		s.log.Debug().Err(err).Str("host", t.Host).Msg("name not resolved")
		if wire.Scan(raw, &w.msg) == nil && !bytes.Equal(w.msg.Method, mACK) {
			w.unavailable(from, "Next Hop Not Resolved")
		}
	})
}

// maxParked bounds the requests that wait for DNS.
const maxParked = 10000

// launch asks the Monitor, makes a record where one is needed, and sends.
func (w *worker) launch(from flow, t ticket, c candidates) {
	m := &w.msg
	w.s.healthiest(&c, w.now)
	h := w.upgraded(c.first)
	notify := from.side() == dialogs.Server && bytes.Equal(m.Method, mNOTIFY)
	var ref dialogs.Ref
	if notify {
		var ruling dialogs.Ruling
		if ref, ruling = w.s.cfg.Monitor.Notify(w.observe(from)); !w.obey(from, ruling) {
			return
		}
	} else if !w.ruled(from) {
		return
	}
	stateful := notify || from.local.network.reliable() || h.network.reliable()
	if !stateful || bytes.Equal(m.Method, mACK) {
		if err := w.emit(from, t, h); err != nil {
			w.unreachable(from, h, err)
		}
		return
	}
	if w.s.table.full() {
		w.s.metrics.untracked(notify)
		if err := w.emit(from, t, h); err != nil {
			w.unreachable(from, h, err)
		}
		return
	}
	r := w.record(from, t, c, h)
	r.notify, r.ref = notify, ref
	t.record = r.key
	if !w.s.table.insert(r, w.next(r)) {
		return // the same request, at the same moment, by another reader
	}
	w.emitRecorded(from, t, h)
}

// unreachable answers a request without a record whose hop took nothing.
func (w *worker) unreachable(from flow, h hop, err error) {
	w.s.log.Debug().Err(err).Stringer("hop", h.addr).Msg("next hop unreachable")
	if bytes.Equal(w.msg.Method, mACK) {
		w.s.metrics.dropped(dropUnreachable, 1)
		return
	}
	w.unavailable(from, "Next Hop Unreachable")
}

// maxUDP is the size above which a request leaves by a stream (RFC 3261 18.1.1).
const maxUDP = 1300

// viaRoom is about what our Via and Record-Routes add.
const viaRoom = 120

// upgraded changes UDP to TCP for a large request, where the hop takes TCP.
func (w *worker) upgraded(h hop) hop {
	if h.network != udp || len(w.msg.Raw)+w.edits.Delta()+viaRoom <= maxUDP {
		return h
	}
	if w.s.local(h.side, tcp) == nil || w.s.noTCP.has(h.addr, w.now) {
		return h
	}
	h.network, h.upgraded = tcp, true
	return h
}

// emitRecorded sends a request that has a record; if that fails at once, the
// record goes on to its next hop or to its end.
func (w *worker) emitRecorded(from flow, t ticket, h hop) {
	var refused *streamError
	switch err := w.emit(from, t, h); {
	case err == nil:
	case errors.As(err, &refused):
		w.failed(t.record, refused.stream, err)
	default:
		w.failed(t.record, 0, err)
	}
}

// record fills in a record for the request at hand.
func (w *worker) record(from flow, t ticket, c candidates, h hop) *record {
	m, s := &w.msg, w.s
	r := s.table.get()
	r.key = t.key
	if bytes.Equal(m.Method, mCANCEL) {
		r.key ^= cancelTwist
	}
	r.invite = bytes.Equal(m.Method, mINVITE)
	r.cseq, _, _ = m.CSeqValue()
	r.from, r.first, r.hops = from, h, c.list
	if r.hops != nil {
		r.hops[0] = h
	}
	r.loop = t.loop
	r.created = w.now
	r.absorb = h.network.reliable()
	r.resend = !r.absorb && from.local.network.reliable()
	switch {
	case r.invite:
		r.giveUp = w.now.Add(timerC)
	case from.side() == dialogs.Server && bytes.Equal(m.Method, mNOTIFY):
		r.giveUp = w.now.Add(s.cfg.NotifyTimeout)
	default:
		r.giveUp = w.now.Add(64 * s.cfg.T1)
	}
	if n := len(r.hops); n > 1 {
		r.nextHop = w.now.Add(r.giveUp.Sub(w.now) / time.Duration(n))
	}
	if r.resend {
		r.interval = s.cfg.T1
		r.resendAt = w.now.Add(r.interval)
	}
	if r.absorb || r.resend || len(r.hops) > 1 {
		r.raw = append(r.raw, m.Raw...)
	} else {
		r.raw = append(r.raw, m.Raw[:m.Body]...)
	}
	return r
}

// timerC is how long an INVITE may be without a final response (RFC 3261 16.6
// step 11); every provisional response sets it anew.
const timerC = 3*time.Minute + time.Second

// next is when the record has to be looked at.
func (w *worker) next(r *record) time.Time {
	at := r.giveUp
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	sooner(r.resendAt)
	sooner(r.nextHop)
	if !r.hundred && !r.invite {
		sooner(r.created.Add(7 * w.s.cfg.T1)) // Timer E has reached T2, RFC 4320 4.2
	}
	return at
}

// emit adds the edits that depend on the hop, and sends.
func (w *worker) emit(from flow, t ticket, h hop) error {
	out := w.s.local(h.side, h.network)
	if out == nil {
		return errNoSocket
	}
	w.upstreamVia(from)
	w.recordRoutes(from, h)
	w.maxForwards()
	w.maxExpires(from)
	m := &w.msg
	if h.network.reliable() && m.Length < 0 {
		body := strconv.Itoa(len(m.Raw) - m.Body)
		w.edits.Insert(w.headEnd(), w.scratch("Content-Length: ", body, "\r\n"))
	}
	w.ownVia(from, t, out)
	if w.edits.Overflow() {
		return errEdits
	}
	if !h.network.reliable() {
		w.datagram(out, h.addr, m.Raw)
		return nil
	}
	return w.stream(h, t.record)
}

// streamError is a stream that did not take a message.
type streamError struct {
	stream uint64
	err    error
}

func (e *streamError) Error() string { return e.err.Error() }
func (e *streamError) Unwrap() error { return e.err }

// stream sends the message at hand over the connection to h. The record learns
// which one before anything is written: if the connection ends, it is told.
func (w *worker) stream(h hop, record uint64) error {
	w.build = w.edits.AppendTo(w.build[:0], w.msg.Raw)
	st := w.s.streams[h.side].To(h.addr, h.network == tlsnet, h.name)
	if st == nil {
		return errStreams
	}
	if record != 0 {
		w.s.table.setStream(record, st.ID)
	}
	if err := st.Write(w.build); err != nil {
		return &streamError{st.ID, err}
	}
	return nil
}

// ownVia pushes our Via.
func (w *worker) ownVia(from flow, t ticket, out *local) {
	start := len(w.text)
	w.text = append(w.text, "Via: SIP/2.0/"...)
	w.text = append(w.text, out.network.via()...)
	w.text = append(w.text, ' ')
	w.text = append(w.text, out.sentBy...)
	w.text = append(w.text, ";branch="...)
	w.text = branch{local: from.local.index, key: t.key, loop: t.loop, stream: from.stream}.appendTo(w.text)
	w.text = append(w.text, "\r\n"...)
	w.edits.Insert(w.msg.Lines[w.msg.First(wire.Via)].Start, w.text[start:])
}

// upstreamVia notes on the neighbour's Via where the request came from (RFC 3261
// 18.2.1, RFC 3581 section 4).
func (w *worker) upstreamVia(from flow) {
	m := &w.msg
	line := m.First(wire.Via)
	value, _ := wire.Split(m.At(line))
	via, ok := wire.ParseVia(value)
	if !ok {
		return
	}
	base := m.Lines[line].Value
	ip := from.addr.Addr()
	if via.HasRPort && len(via.RPort) == 0 {
		start := len(w.text)
		w.text = append(w.text, '=')
		w.text = strconv.AppendUint(w.text, uint64(from.addr.Port()), 10)
		w.edits.Insert(base+via.RPortSpan.To, w.text[start:])
	}
	if same, ok := parseIP(via.Host); ok && same == ip && !via.HasRPort && len(via.Received) == 0 {
		return
	}
	start := len(w.text)
	w.text = append(w.text, "received="...)
	w.text = ip.AppendTo(w.text)
	if span := via.ReceivedSpan; span.To > span.From {
		w.edits.Replace(base+span.From, base+span.To, w.text[start:])
		return
	}
	w.text = append(w.text[:start], ";received="...)
	w.text = ip.AppendTo(w.text)
	w.edits.Insert(base+len(value), w.text[start:])
}

// recordRoutes inserts our two Record-Routes where a dialog may begin (RFC 3261
// 16.6 step 4, RFC 5658), and on every NOTIFY (RFC 6665 4.3): the upper one is
// for the neighbour that the request goes to, the lower for the one it came from.
func (w *worker) recordRoutes(from flow, h hop) {
	m := &w.msg
	if !bytes.Equal(m.Method, mNOTIFY) {
		if !bytes.Equal(m.Method, mSUBSCRIBE) && !bytes.Equal(m.Method, mINVITE) && !bytes.Equal(m.Method, mREFER) {
			return
		}
		if to, _ := m.Value(wire.To); len(wire.Tag(to)) > 0 {
			return
		}
	}
	// A request that goes by TCP only because it is large is no reason to make
	// the neighbour use TCP for the rest of the dialog.
	out := w.s.local(h.side, h.network)
	if h.upgraded {
		out = w.s.local(h.side, udp)
	}
	at := m.First(wire.RecordRoute)
	var pos int
	if at >= 0 {
		pos = m.Lines[at].Start
	} else {
		pos = w.lastVia()
	}
	w.edits.Insert(pos, w.scratch("Record-Route: <", out.record, ">\r\nRecord-Route: <", from.local.record, ">\r\n"))
}

// lastVia is the offset behind the last Via.
func (w *worker) lastVia() int {
	m := &w.msg
	last := m.First(wire.Via)
	for i := last; i >= 0; i = m.Next(i) {
		last = i
	}
	return m.Lines[last].End
}

// maxForwards counts down (RFC 3261 16.6 step 3).
func (w *worker) maxForwards() {
	m := &w.msg
	i := m.First(wire.MaxForwards)
	if i < 0 {
		w.edits.Insert(w.lastVia(), w.scratch("Max-Forwards: 70\r\n"))
		return
	}
	n, _ := wire.Uint(m.At(i))
	start := len(w.text)
	w.text = strconv.AppendUint(w.text, n-1, 10)
	w.edits.Replace(m.Lines[i].Value, m.Lines[i].ValueEnd, w.text[start:])
}

// maxExpires lowers what a SUBSCRIBE asks of the server (REWATCH_MAX_EXPIRES).
func (w *worker) maxExpires(from flow) {
	limit := w.s.cfg.MaxExpires
	m := &w.msg
	if limit <= 0 || from.side() != dialogs.Core || !bytes.Equal(m.Method, mSUBSCRIBE) {
		return
	}
	text := strconv.Itoa(limit)
	i := m.First(wire.Expires)
	switch {
	case i < 0:
		w.edits.Insert(w.headEnd(), w.scratch("Expires: ", text, "\r\n"))
	case m.Number(wire.Expires) > limit:
		w.edits.Replace(m.Lines[i].Value, m.Lines[i].ValueEnd, w.scratch(text))
	}
}

// headEnd is the offset of the empty line.
func (w *worker) headEnd() int {
	return w.msg.Lines[len(w.msg.Lines)-1].End
}

// healthiest puts a hop that has not failed lately first.
func (s *Server) healthiest(c *candidates, now time.Time) {
	if len(c.list) < 2 {
		return
	}
	for i, h := range c.list {
		if !s.badHops.has(h.addr, now) {
			if i > 0 {
				c.list = append(append(make([]hop, 0, len(c.list)), c.list[i:]...), c.list[:i]...)
				c.first = c.list[0]
			}
			return
		}
	}
}

// local is the socket of a side that speaks a network.
func (s *Server) local(side dialogs.Side, n network) *local { return s.bySide[side][n] }

// markBad remembers for a while that a hop failed.
func (s *Server) markBad(addr netip.AddrPort, now time.Time) { s.badHops.add(addr, now) }
