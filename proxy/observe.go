package proxy

import (
	"bytes"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/wire"
)

// observe views the message at hand as the Monitor wants it. Nothing is copied.
func (w *worker) observe(from flow) *dialogs.Message {
	m := &w.Msg
	d := &w.seen
	*d = dialogs.Message{
		At: w.now, Side: from.side(), Source: w.neighbour(from), Transport: from.local.transport.String(),
		Expires: m.Number(wire.Expires),
	}
	if m.Request {
		d.RequestURI = m.URI
	} else {
		d.Status, d.Reason = m.Status, m.Reason
	}
	d.CallID, _ = m.Value(wire.CallID)
	var method []byte
	d.CSeq, method, _ = m.CSeqValue()
	d.FromURI, d.FromTag = address(m, wire.From)
	d.ToURI, d.ToTag = address(m, wire.To)
	d.Event, _ = m.Value(wire.Event)
	d.SubscriptionState, _ = m.Value(wire.SubscriptionState)
	if v, ok := m.Value(wire.Contact); ok && bytes.Equal(method, mREGISTER) {
		w.contacts, d.Contact = w.values(wire.Contact, w.contacts)
	} else if ok {
		d.Contact, _ = wire.Split(v)
	}
	d.AssertedIdentity = w.identities()
	d.Veiled = m.Request && w.way.IdentityDiffers
	if w.notify(from) {
		d.Parcel = dialogs.Parcel{Raw: m.Raw, From: from.addr, Local: uint8(from.local.index)} //nolint:gosec // New bounds the sockets
	}
	return d
}

// neighbour is where a request can be sent to reach the sender of the message at
// hand. The port that a connection, or a datagram without rport, comes from is
// nobody's to listen on; the Via says which one is (RFC 3261 18.1.1, RFC 3581).
func (w *worker) neighbour(from flow) netip.AddrPort {
	if !w.Msg.Request || (from.stream == 0 && w.Via.HasRPort) {
		return from.addr
	}
	return netip.AddrPortFrom(from.addr.Addr(), draft.SentByPort(&w.Via))
}

func address(m *wire.Message, n wire.Name) (uri, tag []byte) {
	v, _ := m.Value(n)
	uri, params, _ := wire.Address(v)
	tag, _ = wire.Param(params, "tag")
	return uri, tag
}

// identities gives all P-Asserted-Identity values (RFC 3325 9.1: a sip and a tel
// URI, in one field or in two). It is valid until it is asked for again.
func (w *worker) identities() (all []byte) {
	w.asserted, all = w.values(wire.PAssertedIdentity, w.asserted)
	return all
}

// values gives all values of a field, comma-separated, in one field or in several; room
// is where they are put together if need be.
func (w *worker) values(n wire.Name, room []byte) (kept, all []byte) {
	m := &w.Msg
	v, ok := m.Value(n)
	if !ok || m.Count(n) == 1 {
		return room, v
	}
	room = append(room[:0], v...)
	for i := m.Next(m.First(n)); i >= 0; i = m.Next(i) {
		room = append(append(room, ", "...), m.At(i)...)
	}
	return room, room
}
