package proxy

import (
	"bytes"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/proxy/draft"
	"rewatch/proxy/route"
	"rewatch/proxy/wire"
)

// observe views the message at hand as the Monitor wants it.
func (w *worker) observe(from flow) *dialogs.Message {
	d := w.view(&w.Msg, from)
	d.At, d.Source = w.now, neighbour(&w.Draft, from)
	d.IdentityDiffers = w.Msg.Request && w.way.IdentityDiffers
	if asksForWatching(&w.Msg, from) {
		d.Identities, d.Unasserted = w.s.namers.of(from.addr.Addr(), d.Identities)
		w.watched = true
	}
	return d
}

// observer has room for what a Monitor is shown.
type observer struct {
	seen     dialogs.Message
	asserted [][]byte          // the asserted identities of the message at hand
	contacts []dialogs.Contact // its Contacts
	// associated are the identities that a REGISTER names.
	associated [][]byte
	// watched: the message at hand asks for watching, and seen says who.
	watched bool
}

// view reads what of a message concerns the Monitor. Nothing is copied. What a response
// only repeats of its request is left out.
func (o *observer) view(m *wire.Message, from flow) *dialogs.Message {
	d := &o.seen
	*d = dialogs.Message{}
	d.Side, d.Transport, d.Expires = from.side(), from.local.transport.String(), m.Number(wire.Expires)
	d.State.Expires, d.State.RetryAfter = -1, -1
	d.CallID, _ = m.Value(wire.CallID)
	var method []byte
	d.CSeq, method, _ = m.CSeqValue()
	d.FromURI, d.FromTag = address(m, wire.From)
	d.ToURI, d.ToTag = address(m, wire.To)
	registers := bytes.Equal(method, mREGISTER)
	o.contacts = o.contacts[:0]
	switch {
	case !m.Request:
		d.Status, d.Reason = m.Status, m.Reason
		if registers {
			o.readContacts(m, true)
		}
	case from.notifies(m.Method):
		d.Event = event(m)
		state, _ := m.Value(wire.SubscriptionState)
		d.State = dialogs.SubscriptionState(wire.ParseState(state))
		o.contacts = append(o.contacts, dialogs.Contact(wire.ContactURI(m.URI)))
		d.Parcel = dialogs.Parcel{Raw: m.Raw, From: from.addr, Local: uint8(from.local.index)} //nolint:gosec // New bounds the sockets
	default:
		d.RequestURI, d.Event, d.Identities = m.URI, event(m), o.identities(m)
		d.UserAgent, _ = m.Value(wire.UserAgent)
		o.readContacts(m, registers)
		if registers {
			d.Associated = o.readAssociated(m)
		}
	}
	d.Contacts = o.contacts
	return d
}

func event(m *wire.Message) dialogs.Event {
	v, _ := m.Value(wire.Event)
	return dialogs.Event(wire.ParseEvent(v))
}

// neighbour is where a request can be sent to reach the sender of the message at
// hand. The port that a connection, or a datagram without rport, comes from is
// nobody's to listen on; the Via says which one is (RFC 3261 18.1.1, RFC 3581).
func neighbour(d *draft.Draft, from flow) netip.AddrPort {
	if !d.Msg.Request || (from.stream == 0 && d.Via.HasRPort) {
		return from.addr
	}
	return netip.AddrPortFrom(from.addr.Addr(), draft.SentByPort(&d.Via))
}

func address(m *wire.Message, n wire.Name) (uri, tag []byte) {
	v, _ := m.Value(n)
	uri, params, _ := wire.Address(v)
	tag, _ = wire.Param(params, "tag")
	return uri, tag
}

// identities gives the URIs of P-Asserted-Identity (RFC 3325 9.1: a sip and a tel URI,
// in one field or in two). They are valid until they are asked for again.
func (o *observer) identities(m *wire.Message) [][]byte {
	o.asserted = o.asserted[:0]
	for values := m.Values(wire.PAssertedIdentity); ; {
		v, _, ok := values.Next()
		if !ok {
			return o.asserted
		}
		uri, _, _ := wire.Address(v)
		o.asserted = append(o.asserted, uri)
	}
}

// readAssociated gives the identities that are registered together: those of the
// REGISTER, else those in the body, where the S-CSCF may have put the user's own REGISTER
// and the answer to it (TS 24.229 5.4.1.7).
func (o *observer) readAssociated(m *wire.Message) [][]byte {
	o.associated = o.associated[:0]
	for values := m.Values(wire.PAssociatedURI); ; {
		v, _, ok := values.Next()
		if !ok {
			break
		}
		uri, _, _ := wire.Address(v)
		o.associated = append(o.associated, uri)
	}
	if len(o.associated) > 0 {
		return o.associated
	}
	for line := range bytes.Lines(m.Raw[m.Body:]) {
		name, list, ok := bytes.Cut(line, []byte{':'})
		if !ok || !bytes.EqualFold(bytes.TrimSpace(name), []byte("P-Associated-URI")) {
			continue
		}
		for v, next := []byte(nil), 0; next >= 0; list = list[max(next, 0):] {
			v, next = wire.Split(list)
			uri, _, _ := wire.Address(v)
			o.associated = append(o.associated, uri)
		}
	}
	return o.associated
}

// readContacts reads the Contacts of the message at hand, or the first one alone: only
// of a REGISTER they are more than one.
func (o *observer) readContacts(m *wire.Message, all bool) {
	for values := m.Values(wire.Contact); ; {
		v, _, ok := values.Next()
		if !ok {
			return
		}
		o.contacts = append(o.contacts, dialogs.Contact(wire.ParseContact(v)))
		if !all {
			return
		}
	}
}

// mark is what the Record-Route of a request says of the identity of its watcher (see
// route.IdentityMark).
func (o *observer) mark(m *wire.Message, from flow, n *namers) string {
	if !asksForWatching(m, from) {
		return ""
	}
	named, unasserted, uri := o.seen.Identities, o.seen.Unasserted, o.seen.FromURI
	if !o.watched {
		uri, _ = address(m, wire.From)
		named, unasserted = n.of(from.addr.Addr(), o.identities(m))
	}
	if unasserted || aor.Contradicts(named, uri) {
		return "=" + route.IdentityMark
	}
	return ""
}

// asksForWatching tells whether a message is a SUBSCRIBE of the core's.
func asksForWatching(m *wire.Message, from flow) bool {
	return m.Request && from.side() == dialogs.Core && bytes.Equal(m.Method, mSUBSCRIBE)
}
