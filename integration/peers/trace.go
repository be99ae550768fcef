package peers

import (
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Trace is told of every message that passes a peer's socket, before a sent one
// leaves and before a received one is acted upon. It is called from the peers'
// goroutines, several at once, and must not block.
type Trace func(Passed)

// Passed is one message at one socket. A message between two peers is told
// twice, once by each.
type Passed struct {
	// At is when it was sent, or arrived at the socket (where the kernel tells),
	// so that the times of all peers make one order. They may be told in another.
	At time.Time
	// Peer is the name of the peer that tells.
	Peer     string
	From, To netip.AddrPort
	// Sent says that the peer sent it; otherwise it was received.
	Sent bool
	// Lost says that a fault swallowed it: it was not sent, or not acted upon.
	Lost bool
	// Repeat says that this socket has seen the message before: a retransmission.
	Repeat bool

	StartLine string
	Method    string // of the request, or of the CSeq of a response
	Status    int    // 0 for a request
	CallID    string
	CSeq      uint32
	// Text is the whole message.
	Text string
}

func passed(peer string, msg sip.Message) Passed {
	p := Passed{Peer: peer, Text: msg.String()}
	switch m := msg.(type) {
	case *sip.Request:
		p.StartLine = m.StartLine()
	case *sip.Response:
		p.StartLine, p.Status = m.StartLine(), m.StatusCode
	}
	if h := msg.CallID(); h != nil {
		p.CallID = h.Value()
	}
	if h := msg.CSeq(); h != nil {
		p.Method, p.CSeq = string(h.MethodName), h.SeqNo
	}
	return p
}
