package proxy

import (
	"bytes"
	"errors"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// emit adds the edits that depend on the hop, and sends.
func (w *worker) emit(from flow, t ticket, h resolve.Hop) error {
	out := w.wayOut(from, h.Transport, h.Addr.Addr())
	if out == nil {
		return errNoSocket
	}
	w.Received(from.addr)
	w.recordRoutes(from, h)
	w.CountDown()
	if limit := w.s.cfg.MaxExpires; limit > 0 && from.side() == dialogs.Core && bytes.Equal(w.Msg.Method, mSUBSCRIBE) {
		w.LimitExpires(limit)
	}
	if h.Transport.Reliable() {
		w.ContentLength()
	}
	w.PushVia(out.transport, out.sentBy, draft.Branch{
		Local: from.local.index, Attempt: t.attempt, Key: t.key, Loop: t.loop, Stream: from.stream, At: from.at,
	})
	if w.Edits.Overflow() {
		return errEdits
	}
	if !h.Transport.Reliable() {
		w.datagram(out, netip.Addr{}, h.Addr, &w.Edits, w.Msg.Raw)
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
	w.Build = w.Edits.AppendTo(w.Build[:0], w.Msg.Raw)
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
		switch err := w.s.write(st, out, w.Build); {
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
	n := len(w.Msg.Raw) + w.Edits.Delta() + via + len(out.sentBy) + received
	if w.RecordRouted() {
		n += 2*len("Record-Route: <>\r\n") + len(out.record) + len(from.local.record)
	}
	return n
}

// recordRoutes inserts our two Record-Routes (RFC 5658): the upper one is for the
// neighbour that the request goes to, the lower for the one it came from.
func (w *worker) recordRoutes(from flow, h resolve.Hop) {
	if !w.RecordRouted() {
		return
	}
	// A request that goes by TCP only because it is large is no reason to make
	// the neighbour use TCP for the rest of the dialog.
	n := h.Transport
	if h.Upgraded {
		n = wire.UDP
	}
	out := w.wayOut(from, n, h.Addr.Addr())
	w.RecordRoute(w.recordOf(out), w.veil(from), w.recordOf(from.local))
}

// recordOf is the URI of a socket in the Record-Route of the request at hand.
func (w *worker) recordOf(l *local) string {
	if w.way.SIPS {
		return l.secure
	}
	return l.record
}

// wayOut is the socket by which the request at hand leaves: in a dialog the one that its
// own Route entry names (RFC 5658), or one beside that which speaks the transport.
func (w *worker) wayOut(from flow, n wire.Transport, to netip.Addr) *local {
	return w.s.local(from.across(), n, to, w.exit)
}

// veil is that value, behind the mark, if the request at hand needs it.
func (w *worker) veil(from flow) string {
	m := &w.Msg
	if from.side() != dialogs.Core || !bytes.Equal(m.Method, mSUBSCRIBE) {
		return ""
	}
	if uri, _ := address(m, wire.From); aor.Contradicts(w.identities(), uri) {
		return "=" + route.IdentityMark
	}
	return ""
}
