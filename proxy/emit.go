package proxy

import (
	"bytes"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
	"rewatch/proxy/wire"
)

// emit adds the edits that depend on the hop, and sends the request: in a dialog by the
// socket that its own Route entry names (RFC 5658), or by the nearest one that speaks the
// transport.
func (w *worker) emit(from flow, t ticket, h resolve.Hop) error {
	out := w.s.sockets.For(from.across(), h.Transport, h.Addr.Addr(), w.exit)
	if out == nil {
		return route.ErrNoSocket
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
	w.PushVia(out.Transport, out.SentBy, draft.Branch{
		Local: from.socket.Index, Attempt: t.attempt, Key: t.key, Loop: t.loop, Stream: from.stream, At: from.at,
	})
	if !h.Transport.Reliable() {
		w.out.Datagram(out, netip.Addr{}, h.Addr, &w.Edits, w.Msg.Raw)
		return nil
	}
	w.Build = w.Edits.AppendTo(w.Build[:0], w.Msg.Raw)
	return w.out.Stream(out, h, t.record, w.Build)
}

// maxUDP is the size above which a request leaves by a stream (RFC 3261 18.1.1).
const maxUDP = 1300

// upgrade chooses TCP for a request that is too long for a datagram, for those of its
// hops that accept it, and for a hop that a datagram did not reach lately. A NOTIFY that
// goes by UDP all the same is tried by TCP at last, if there was no response: a datagram of
// that size may be lost on its way.
func (w *worker) upgrade(from flow) {
	first := w.router.Hops[0]
	if first.Transport != wire.UDP {
		return
	}
	large := w.size(from, first) > maxUDP
	if !large && !w.unreached(first) {
		return
	}
	refused := false
	for i := range w.router.Hops {
		h := &w.router.Hops[i]
		if h.Transport != wire.UDP || w.s.sockets.For(from.across(), wire.TCP, h.Addr.Addr(), w.exit) == nil || !large && !w.unreached(*h) {
			continue
		}
		if w.s.noTCP.Has(h.Addr, w.now) {
			refused = refused || i == 0
			continue
		}
		h.Transport, h.Upgraded = wire.TCP, true
	}
	if refused && large && w.s.cfg.Retry && !w.s.cfg.DryRun.On() && from.notifies(w.Msg.Method) {
		h := w.router.Hops[0]
		h.Transport = wire.TCP
		w.router.Hops = append(w.router.Hops, h)
	}
}

// unreached tells whether a datagram did not reach a hop lately that may be tried by TCP.
func (w *worker) unreached(h resolve.Hop) bool { return h.Either && w.s.noUDP.Has(h.Addr, w.now) }

// size is about how long the request at hand is when it is sent to a hop.
func (w *worker) size(from flow, h resolve.Hop) int {
	out := w.s.sockets.For(from.across(), h.Transport, h.Addr.Addr(), w.exit)
	if out == nil {
		return 0
	}
	const via, received = len("Via: SIP/2.0/UDP ;branch=z9hG4bKrw") + 2 + 16 + 8 + 2, len(";received=255.255.255.255=65535")
	n := len(w.Msg.Raw) + w.Edits.Delta() + via + len(out.SentBy) + received
	if w.RecordRouted() {
		n += 2*len("Record-Route: <>\r\n") + len(out.RecordRoute(false)) + len(from.socket.RecordRoute(false))
	}
	return n
}

// recordRoutes inserts our two Record-Routes (RFC 5658): the upper one is for the neighbour
// that the request is sent to, the lower one for the neighbour that it came from.
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
	out := w.s.sockets.For(from.across(), n, h.Addr.Addr(), w.exit)
	w.RecordRoute(out.RecordRoute(w.way.SIPS), w.Mark(&w.Msg, from.seen()), from.socket.RecordRoute(w.way.SIPS))
}
