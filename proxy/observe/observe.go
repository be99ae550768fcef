package observe

import (
	"bytes"
	"net/netip"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/proxy/draft"
	"rewatch/proxy/route"
	"rewatch/proxy/wire"
)

// From is the neighbour that a message came from, and how it came.
type From struct {
	Side dialogs.Side
	Addr netip.AddrPort
	// Transport is "udp", "tcp" or "tls". Stream: it came by a connection, on whose remote
	// port nobody listens.
	Transport string
	Stream    bool
	Local     uint8 // number of the socket
}

// Observer reads messages for a Monitor, one at a time. It belongs to one goroutine.
type Observer struct {
	namers *Namers

	seen     dialogs.Message
	asserted [][]byte          // the asserted identities of the message at hand
	contacts []dialogs.Contact // its Contacts
	// associated are the identities that a REGISTER names.
	associated [][]byte
	// watched: the message at hand is a SUBSCRIBE of the core, and seen names the watcher.
	watched bool
}

// New makes an Observer that asks n who names the watcher.
func New(n *Namers) Observer { return Observer{namers: n} }

// Next says that another message is at hand.
func (o *Observer) Next() { o.watched = false }

// maxKept bounds the room for values that an Observer keeps between messages.
const maxKept = 1 << 10

// Trim frees the room that an unusually large message needed.
func (o *Observer) Trim() {
	if max(cap(o.asserted), cap(o.contacts)) > maxKept {
		o.asserted, o.contacts = nil, nil
	}
}

// View reads the fields of the message at hand that the Monitor needs. Nothing is copied, and
// the result is valid until the next View. differs: its Route says that the watcher of its
// dialog is not the one in From.
func (o *Observer) View(m *draft.Draft, from From, now time.Time, differs bool) *dialogs.Message {
	d := o.read(&m.Msg, &from)
	d.At, d.Source = now, neighbour(m, &from)
	d.IdentityDiffers = m.Msg.Request && differs
	if asksForWatching(&m.Msg, &from) {
		d.Identities, d.Unasserted = o.namers.of(from.Addr.Addr(), d.Identities)
		o.watched = true
	}
	if registersAnother(d, &m.Msg) {
		o.namers.made(from.Addr.Addr(), &m.Msg)
		d.Unasserted = o.namers.PassedOn(from.Addr.Addr(), &m.Msg)
	}
	return d
}

// registersAnother tells whether a message looks like a third-party REGISTER of the core.
func registersAnother(d *dialogs.Message, m *wire.Message) bool {
	return m.Request && d.Side == dialogs.Core && string(m.Method) == "REGISTER" && !aor.NamesUser(d.Identities) &&
		aor.Contradicts([][]byte{d.ToURI}, d.FromURI)
}

// read reads the fields of a message. Fields that a response repeats from its request are left
// out.
func (o *Observer) read(m *wire.Message, from *From) *dialogs.Message {
	d := &o.seen
	*d = dialogs.Message{}
	d.Side, d.Transport, d.Expires = from.Side, from.Transport, m.Number(wire.Expires)
	d.State.Expires = -1
	d.CallID, _ = m.Value(wire.CallID)
	var method []byte
	d.CSeq, method, _ = m.CSeqValue()
	d.FromURI, d.FromTag = m.Party(wire.From)
	d.ToURI, d.ToTag = m.Party(wire.To)
	registers := string(method) == "REGISTER"
	o.contacts = o.contacts[:0]
	switch {
	case !m.Request:
		d.Status, d.Reason = m.Status, m.Reason
		if registers {
			o.readContacts(m, true)
		}
	case from.Side == dialogs.Server && string(m.Method) == "NOTIFY":
		d.Event = event(m)
		state, _ := m.Value(wire.SubscriptionState)
		d.State = dialogs.SubscriptionState(wire.ParseState(state))
		o.contacts = append(o.contacts, dialogs.Contact(wire.ContactURI(m.URI)))
		d.Parcel = dialogs.Parcel{Raw: m.Raw, From: from.Addr, Local: from.Local}
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

// neighbour is where a request can be sent to reach the sender of the message at hand. Nobody
// listens on the port that a connection, or a datagram without rport, comes from; the Via says
// on which port the sender listens (RFC 3261 18.1.1, RFC 3581).
func neighbour(d *draft.Draft, from *From) netip.AddrPort {
	if !d.Msg.Request || (!from.Stream && d.Via.HasRPort) {
		return from.Addr
	}
	return netip.AddrPortFrom(from.Addr.Addr(), draft.SentByPort(&d.Via))
}

// identities gives the URIs of P-Asserted-Identity (RFC 3325 9.1: a sip and a tel URI,
// in one field or in two). They are valid until the next call.
func (o *Observer) identities(m *wire.Message) [][]byte {
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
func (o *Observer) readAssociated(m *wire.Message) [][]byte {
	o.associated = o.associated[:0]
	for values := m.Values(wire.PAssociatedURI); ; {
		v, _, ok := values.Next()
		if !ok {
			break
		}
		o.associate(v)
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
			o.associate(v)
		}
	}
	return o.associated
}

// associate notes the identity of one value. Some cores put all of a user's into one pair of
// brackets, where no URI has a space.
func (o *Observer) associate(v []byte) {
	uri, _, _ := wire.Address(v)
	for one := range bytes.SplitSeq(uri, []byte(", ")) {
		o.associated = append(o.associated, bytes.TrimSpace(one))
	}
}

// readContacts reads all Contacts of the message at hand, or only the first one: only a
// REGISTER has several.
func (o *Observer) readContacts(m *wire.Message, all bool) {
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

// Mark is the value of our mark in the Record-Route of a request: whether the identity of the
// watcher differs from From (see route.IdentityMark).
func (o *Observer) Mark(m *wire.Message, from From) string {
	if !asksForWatching(m, &from) {
		return ""
	}
	named, unasserted, uri := o.seen.Identities, o.seen.Unasserted, o.seen.FromURI
	if !o.watched {
		uri, _ = m.Party(wire.From)
		named, unasserted = o.namers.of(from.Addr.Addr(), o.identities(m))
	}
	if unasserted || aor.Contradicts(named, uri) {
		return "=" + route.IdentityMark
	}
	return ""
}

// asksForWatching tells whether a message is a SUBSCRIBE of the core.
func asksForWatching(m *wire.Message, from *From) bool {
	return m.Request && from.Side == dialogs.Core && string(m.Method) == "SUBSCRIBE"
}
