package proxy

import (
	"bytes"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// emit adds the edits that depend on the hop, and sends: in a dialog by the socket that
// its own Route entry names (RFC 5658), or one beside that which speaks the transport.
func (w *worker) emit(from flow, t ticket, h resolve.Hop) error {
	out := w.s.local(from.across(), h.Transport, h.Addr.Addr(), w.exit)
	if out == nil {
		return errNoSocket
	}
	w.Received(from.addr)
	w.recordRoutes(from, h)
	w.CountDown()
	if limit := w.s.cfg.MaxExpires; limit > 0 && !w.s.cfg.DryRun.On() && from.side() == dialogs.Core && bytes.Equal(w.Msg.Method, mSUBSCRIBE) {
		w.LimitExpires(limit)
	}
	if h.Transport.Reliable() {
		w.ContentLength()
	}
	w.PushVia(out.transport, out.sentBy, draft.Branch{
		Local: from.local.index, Attempt: t.attempt, Key: t.key, Loop: t.loop, Stream: from.stream, At: from.at,
	})
	if !h.Transport.Reliable() {
		w.datagram(out, netip.Addr{}, h.Addr, &w.Edits, w.Msg.Raw)
		return nil
	}
	w.Build = w.Edits.AppendTo(w.Build[:0], w.Msg.Raw)
	return w.stream(out, h, t.record, w.Build)
}

// streamError is a stream that did not take a message.
type streamError struct {
	stream uint64
	err    error
}

func (e *streamError) Error() string { return e.err.Error() }
func (e *streamError) Unwrap() error { return e.err }

// size is about how long the request at hand is when it leaves for a hop.
func (w *worker) size(from flow, h resolve.Hop) int {
	out := w.s.local(from.across(), h.Transport, h.Addr.Addr(), w.exit)
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
	out := w.s.local(from.across(), n, h.Addr.Addr(), w.exit)
	w.RecordRoute(out.recordFor(w.way.SIPS), w.Mark(&w.Msg, from.seen()), from.local.recordFor(w.way.SIPS))
}
