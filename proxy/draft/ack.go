package draft

import (
	"strconv"

	"rewatch/proxy/wire"
)

// AppendACK appends the ACK of a failure of an INVITE.
func AppendACK(b []byte, invite, failure *wire.Message) []byte {
	b = append(append(append(b, "ACK "...), invite.URI...), " SIP/2.0\r\nVia: "...)
	b = append(append(b, FirstValue(failure, wire.Via)...), "\r\nMax-Forwards: 70\r\n"...)
	line := func(m *wire.Message, i int) {
		if i >= 0 {
			b = append(b, m.Raw[m.Lines[i].Start:m.Lines[i].End]...)
		}
	}
	for i := invite.First(wire.Route); i >= 0; i = invite.Next(i) {
		line(invite, i)
	}
	line(invite, invite.First(wire.From))
	line(failure, failure.First(wire.To))
	line(invite, invite.First(wire.CallID))
	n, _, _ := invite.CSeqValue()
	b = append(b, "CSeq: "...)
	b = strconv.AppendUint(b, uint64(n), 10)
	return append(b, " ACK\r\nContent-Length: 0\r\n\r\n"...)
}
