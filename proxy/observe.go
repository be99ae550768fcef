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
	event, _ := m.Value(wire.Event)
	d.Event = dialogs.Event(wire.ParseEvent(event))
	d.State.Expires, d.State.RetryAfter = -1, -1
	d.Identities = w.identities()
	w.contacts = w.contacts[:0]
	if w.notify(from) {
		state, _ := m.Value(wire.SubscriptionState)
		d.State = dialogs.SubscriptionState(wire.ParseState(state))
		w.contacts = append(w.contacts, dialogs.Contact(wire.ContactURI(m.URI)))
	} else {
		w.readContacts(bytes.Equal(method, mREGISTER))
	}
	d.Contacts = w.contacts
	d.UserAgent, _ = m.Value(wire.UserAgent)
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

// identities gives the URIs of P-Asserted-Identity (RFC 3325 9.1: a sip and a tel URI,
// in one field or in two). They are valid until they are asked for again.
func (w *worker) identities() [][]byte {
	w.asserted = w.asserted[:0]
	for values := w.Msg.Values(wire.PAssertedIdentity); ; {
		v, _, ok := values.Next()
		if !ok {
			return w.asserted
		}
		uri, _, _ := wire.Address(v)
		w.asserted = append(w.asserted, uri)
	}
}

// readContacts reads the Contacts of the message at hand, or the first one alone: only
// of a REGISTER they are more than one.
func (w *worker) readContacts(all bool) {
	for values := w.Msg.Values(wire.Contact); ; {
		v, _, ok := values.Next()
		if !ok {
			return
		}
		w.contacts = append(w.contacts, dialogs.Contact(wire.ParseContact(v)))
		if !all {
			return
		}
	}
}
