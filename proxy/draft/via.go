package draft

import (
	"bytes"
	"net/netip"

	"rewatch/proxy/wire"
)

// PushVia inserts our Via above the others.
func (d *Draft) PushVia(over wire.Transport, sentBy string, b Branch) {
	start := len(d.text)
	d.text = append(d.text, "Via: SIP/2.0/"...)
	d.text = append(d.text, over.Via()...)
	d.text = append(d.text, ' ')
	d.text = append(d.text, sentBy...)
	d.text = append(d.text, ";branch="...)
	d.text = b.AppendTo(d.text)
	d.text = append(d.text, "\r\n"...)
	d.Edits.Insert(d.Msg.Lines[d.Msg.First(wire.Via)].Start, d.text[start:])
}

// Received notes on the neighbour's Via where the request came from (RFC 3261
// 18.2.1, RFC 3581 section 4). A received or rport that the neighbour has written is replaced:
// it could send the response to a wrong address.
func (d *Draft) Received(from netip.AddrPort) {
	via := &d.Via
	line := d.Msg.First(wire.Via)
	base := d.Msg.Lines[line].Value
	ip := from.Addr()
	if span := via.RPortSpan; via.HasRPort {
		if len(via.RPort) == 0 && span.To-span.From == len("rport") {
			d.Edits.Insert(base+span.To, d.number("=", int(from.Port()), ""))
		} else {
			d.Edits.Replace(base+span.From, base+span.To, d.number("rport=", int(from.Port()), ""))
		}
	}
	if same, ok := wire.ParseIP(via.Host); ok && same == ip && !via.HasRPort && via.ReceivedSpan.To == 0 {
		return
	}
	start := len(d.text)
	if span := via.ReceivedSpan; span.To > 0 {
		d.text = append(d.text, "received="...)
		d.text = ip.WithZone("").AppendTo(d.text)
		d.Edits.Replace(base+span.From, base+span.To, d.text[start:])
		return
	}
	d.text = append(d.text, ";received="...)
	d.text = ip.WithZone("").AppendTo(d.text)
	value, _ := wire.Split(d.Msg.At(line))
	d.Edits.Insert(base+len(value), d.text[start:])
}

// lastVia is the offset after the last Via.
func (d *Draft) lastVia() int {
	m := &d.Msg
	last := m.First(wire.Via)
	for i := last; i >= 0; i = m.Next(i) {
		last = i
	}
	return m.Lines[last].End
}

// PopVia prepares the edit that removes our Via and gives the Via below it.
func (d *Draft) PopVia() (wire.ViaValue, bool) {
	m := &d.Msg
	d.Edits.Reset()
	d.text = d.text[:0]
	first := m.First(wire.Via)
	v := m.At(first)
	if _, next := wire.Split(v); next >= 0 && next < len(v) {
		d.Edits.Delete(m.Lines[first].Value, m.Lines[first].Value+next)
		v, _ = wire.Split(v[next:])
	} else {
		d.Edits.Delete(m.Lines[first].Start, m.Lines[first].End)
		second := m.Next(first)
		if second < 0 {
			return wire.ViaValue{}, false
		}
		v, _ = wire.Split(m.At(second))
	}
	return wire.ParseVia(v)
}

// ResponseHost is the address that a Via sends its response to. rewatch itself has written its
// received.
func ResponseHost(via *wire.ViaValue) (netip.Addr, bool) {
	host := via.Host
	if len(via.Received) > 0 {
		host = via.Received
	}
	if len(host) > 2 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	return wire.ParseIP(host)
}

// ResponseAddr is where a Via sends its response over UDP (RFC 3261 18.2.2, RFC
// 3581 section 4).
func ResponseAddr(via *wire.ViaValue) (netip.AddrPort, bool) {
	if to, ok := MAddr(via); ok {
		return to, true
	}
	ip, ok := ResponseHost(via)
	if !ok {
		return netip.AddrPort{}, false
	}
	port := SentByPort(via)
	if n, ok := wire.Uint(via.RPort); ok && n > 0 && n < 1<<16 {
		port = uint16(n)
	}
	return netip.AddrPortFrom(ip, port), true
}

// MAddr is where a Via wants its response over UDP in any case (RFC 3261 18.2.2).
func MAddr(via *wire.ViaValue) (netip.AddrPort, bool) {
	if len(via.MAddr) == 0 {
		return netip.AddrPort{}, false
	}
	ip, ok := wire.ParseIP(bytes.Trim(via.MAddr, "[]"))
	return netip.AddrPortFrom(ip, SentByPort(via)), ok
}

// SentByPort is the port of a sent-by.
func SentByPort(via *wire.ViaValue) uint16 {
	switch {
	case via.Port != 0:
		return uint16(via.Port) //nolint:gosec // checked by ParseVia
	case wire.EqualFold(via.Transport, "tls"):
		return 5061
	default:
		return 5060
	}
}
