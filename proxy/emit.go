package proxy

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// emit adds the edits that depend on the hop, and sends.
func (w *worker) emit(from flow, t ticket, h resolve.Hop) error {
	out := w.wayOut(from, h.Transport, h.Addr.Addr())
	if out == nil {
		return errNoSocket
	}
	w.upstreamVia(from)
	w.recordRoutes(from, h)
	w.maxForwards()
	w.maxExpires(from)
	if h.Transport.Reliable() {
		w.contentLength()
	}
	w.ownVia(from, t, out)
	if w.edits.Overflow() {
		return errEdits
	}
	if !h.Transport.Reliable() {
		w.datagram(out, netip.Addr{}, h.Addr, w.msg.Raw)
		return nil
	}
	return w.stream(out, h, t.record)
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
func (w *worker) stream(out *local, h resolve.Hop, record uint64) error {
	w.build = w.edits.AppendTo(w.build[:0], w.msg.Raw)
	var own netip.Addr
	if out != w.s.local(out.side, h.Transport, h.Addr.Addr(), nil) {
		own = out.bound
	}
	for again := true; ; again = false {
		st := w.s.streams[out.side].ToFrom(own, h.Addr, h.Transport == wire.TLS, h.ServerName)
		if st == nil {
			return errStreams
		}
		if record != 0 {
			st.Used.Store(true)
			w.s.table.Left(record, st.ID)
		}
		switch err := w.s.write(st, out, w.build); {
		case err == nil:
			return nil
		case again && errors.Is(err, transport.ErrClosed): // it has ended at this moment
		default:
			return &streamError{st.ID, err}
		}
	}
}

// overhead is more than the edits of a request commonly add.
const overhead = 250

// size is about how long the request at hand is when it leaves for a hop.
func (w *worker) size(from flow, h resolve.Hop) int {
	out := w.wayOut(from, h.Transport, h.Addr.Addr())
	if out == nil {
		return 0
	}
	const via, received = len("Via: SIP/2.0/UDP ;branch=z9hG4bKrw") + 2 + 16 + 8 + 2, len(";received=255.255.255.255=65535")
	n := len(w.msg.Raw) + w.edits.Delta() + via + len(out.sentBy) + received
	if w.recordRouted() {
		n += 2*len("Record-Route: <>\r\n") + len(out.record) + len(from.local.record)
	}
	return n
}

// recordRouted tells whether the request at hand gets our Record-Routes: where a
// dialog may begin (RFC 3261 16.6 step 4), and on every NOTIFY (RFC 6665 4.3).
func (w *worker) recordRouted() bool {
	m := &w.msg
	if bytes.Equal(m.Method, mNOTIFY) {
		return true
	}
	if !bytes.Equal(m.Method, mSUBSCRIBE) && !bytes.Equal(m.Method, mINVITE) && !bytes.Equal(m.Method, mREFER) {
		return false
	}
	to, _ := m.Value(wire.To)
	return len(wire.Tag(to)) == 0
}

// recordRoutes inserts our two Record-Routes (RFC 5658): the upper one is for the
// neighbour that the request goes to, the lower for the one it came from.
func (w *worker) recordRoutes(from flow, h resolve.Hop) {
	if !w.recordRouted() {
		return
	}
	// A request that goes by TCP only because it is large is no reason to make
	// the neighbour use TCP for the rest of the dialog.
	n := h.Transport
	if h.Upgraded {
		n = wire.UDP
	}
	out := w.wayOut(from, n, h.Addr.Addr())
	at := w.msg.First(wire.RecordRoute)
	pos := 0
	if at >= 0 {
		pos = w.msg.Lines[at].Start
	} else {
		pos = w.lastVia()
	}
	w.edits.Insert(pos, w.scratch("Record-Route: <", w.recordOf(out), w.veil(from), ">\r\nRecord-Route: <", w.recordOf(from.local), ">\r\n"))
}

// recordOf is the URI of a socket in the Record-Route of the request at hand.
func (w *worker) recordOf(l *local) string {
	if w.sips {
		return l.secure
	}
	return l.record
}

// wayOut is the socket by which the request at hand leaves: in a dialog the one that its
// own Route entry names (RFC 5658), or one beside that which speaks the transport.
func (w *worker) wayOut(from flow, n wire.Transport, to netip.Addr) *local {
	return w.s.local(from.across(), n, to, w.exit)
}

// veiledMark is the value of our mark in the Record-Route of a SUBSCRIBE whose asserted
// identity is not that of its From. It comes back in the Route of the dialog's
// NOTIFYs, which know nothing but From: even after a restart nobody is taken for
// the watcher whose name another has used.
const veiledMark = "pai"

// veil is that value, behind the mark, if the request at hand needs it.
func (w *worker) veil(from flow) string {
	m := &w.msg
	if from.side() != dialogs.Core || !bytes.Equal(m.Method, mSUBSCRIBE) {
		return ""
	}
	if uri, _ := address(m, wire.From); aor.Contradicts(w.identities(), uri) {
		return "=" + veiledMark
	}
	return ""
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
	i := m.First(wire.Expires)
	switch {
	case i < 0:
		w.edits.Insert(w.headEnd(), w.number("Expires: ", limit, "\r\n"))
	case m.Number(wire.Expires) > limit:
		w.edits.Replace(m.Lines[i].Value, m.Lines[i].ValueEnd, w.number("", limit, ""))
	}
}

// contentLength adds the field without which a message has no end in a stream
// (RFC 3261 18.3).
func (w *worker) contentLength() {
	m := &w.msg
	if m.Length < 0 {
		w.edits.Insert(w.headEnd(), w.number("Content-Length: ", len(m.Raw)-m.Body, "\r\n"))
	}
}

// number writes text with a number in it into the workspace.
func (w *worker) number(before string, n int, after string) []byte {
	start := len(w.text)
	w.text = append(w.text, before...)
	w.text = strconv.AppendInt(w.text, int64(n), 10)
	w.text = append(w.text, after...)
	return w.text[start:]
}

// headEnd is the offset of the empty line.
func (w *worker) headEnd() int {
	return w.msg.Lines[len(w.msg.Lines)-1].End
}
