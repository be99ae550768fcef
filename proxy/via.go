package proxy

import (
	"bytes"
	"net/netip"

	"rewatch/proxy/wire"
)

// ownVia pushes our Via.
func (w *worker) ownVia(from flow, t ticket, out *local) {
	start := len(w.text)
	w.text = append(w.text, "Via: SIP/2.0/"...)
	w.text = append(w.text, out.transport.Via()...)
	w.text = append(w.text, ' ')
	w.text = append(w.text, out.sentBy...)
	w.text = append(w.text, ";branch="...)
	b := branch{local: from.local.index, attempt: t.attempt, key: t.key, loop: t.loop, stream: from.stream, at: from.at}
	w.text = b.appendTo(w.text)
	w.text = append(w.text, "\r\n"...)
	w.edits.Insert(w.msg.Lines[w.msg.First(wire.Via)].Start, w.text[start:])
}

// upstreamVia notes on the neighbour's Via where the request came from (RFC 3261
// 18.2.1, RFC 3581 section 4). What the neighbour itself has put there does not
// count: it would lead the response astray.
func (w *worker) upstreamVia(from flow) {
	via := &w.via
	line := w.msg.First(wire.Via)
	base := w.msg.Lines[line].Value
	ip := from.addr.Addr()
	if span := via.RPortSpan; via.HasRPort {
		if len(via.RPort) == 0 && span.To-span.From == len("rport") {
			w.edits.Insert(base+span.To, w.number("=", int(from.addr.Port()), ""))
		} else {
			w.edits.Replace(base+span.From, base+span.To, w.number("rport=", int(from.addr.Port()), ""))
		}
	}
	if same, ok := parseIP(via.Host); ok && same == ip && !via.HasRPort && via.ReceivedSpan.To == 0 {
		return
	}
	start := len(w.text)
	if span := via.ReceivedSpan; span.To > 0 {
		w.text = append(w.text, "received="...)
		w.text = ip.WithZone("").AppendTo(w.text)
		w.edits.Replace(base+span.From, base+span.To, w.text[start:])
		return
	}
	w.text = append(w.text, ";received="...)
	w.text = ip.WithZone("").AppendTo(w.text)
	value, _ := wire.Split(w.msg.At(line))
	w.edits.Insert(base+len(value), w.text[start:])
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

// popVia prepares the edit that takes our Via away and gives the one below it.
func (w *worker) popVia() (wire.ViaValue, bool) {
	m := &w.msg
	w.edits.Reset()
	w.text = w.text[:0]
	first := m.First(wire.Via)
	v := m.At(first)
	if _, next := wire.Split(v); next >= 0 && next < len(v) {
		w.edits.Delete(m.Lines[first].Value, m.Lines[first].Value+next)
		v, _ = wire.Split(v[next:])
	} else {
		w.edits.Delete(m.Lines[first].Start, m.Lines[first].End)
		second := m.Next(first)
		if second < 0 {
			return wire.ViaValue{}, false
		}
		v, _ = wire.Split(m.At(second))
	}
	return wire.ParseVia(v)
}

// responseHost is the address that a Via sends its response to. We have written
// received there ourselves.
func responseHost(via *wire.ViaValue) (netip.Addr, bool) {
	host := via.Host
	if len(via.Received) > 0 {
		host = via.Received
	}
	if len(host) > 2 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	return parseIP(host)
}

// responseAddr is where a Via sends its response over UDP (RFC 3261 18.2.2, RFC
// 3581 section 4).
func responseAddr(via *wire.ViaValue) (netip.AddrPort, bool) {
	if to, ok := maddrOf(via); ok {
		return to, true
	}
	ip, ok := responseHost(via)
	if !ok {
		return netip.AddrPort{}, false
	}
	port := sentByPort(via)
	if n, ok := wire.Uint(via.RPort); ok && n > 0 && n < 1<<16 {
		port = uint16(n)
	}
	return netip.AddrPortFrom(ip, port), true
}

// maddrOf is where a Via wants its response over UDP in any case (RFC 3261 18.2.2).
func maddrOf(via *wire.ViaValue) (netip.AddrPort, bool) {
	if len(via.MAddr) == 0 {
		return netip.AddrPort{}, false
	}
	ip, ok := parseIP(bytes.Trim(via.MAddr, "[]"))
	return netip.AddrPortFrom(ip, sentByPort(via)), ok
}

// sentByPort is the port of a sent-by.
func sentByPort(via *wire.ViaValue) uint16 {
	switch {
	case via.Port != 0:
		return uint16(via.Port) //nolint:gosec // checked by ParseVia
	case wire.EqualFold(via.Transport, "tls"):
		return 5061
	default:
		return 5060
	}
}
