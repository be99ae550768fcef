package proxy

import (
	"bytes"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/observe"
	"rewatch/proxy/socket"
	"rewatch/proxy/transaction"
)

// flow is where a message came from, and where its response has to go.
type flow struct {
	socket *socket.Socket
	stream uint64 // ID of the stream, 0 for UDP
	addr   netip.AddrPort
	// at is the address of ours that the message was sent to, where the socket is bound to
	// all addresses of the host: the response is sent from there (RFC 3581 4).
	at netip.Addr
}

// seen is the flow as an Observer knows it.
func (f flow) seen() observe.From {
	return observe.From{
		Side: f.side(), Addr: f.addr, Transport: f.socket.Transport.String(), Stream: f.stream != 0, Local: uint8(f.socket.Index), //nolint:gosec // New bounds the sockets
	}
}

func (f flow) side() dialogs.Side { return f.socket.Side }

// across is the other side, where a request of this flow goes.
func (f flow) across() dialogs.Side { return dialogs.Server - f.socket.Side }

// origin is a flow as a transaction remembers it.
func (f flow) origin() transaction.Origin {
	return transaction.Origin{
		Addr: f.addr, At: f.at, Stream: f.stream, Local: uint8(f.socket.Index), //nolint:gosec // New bounds the sockets
		Reliable: f.socket.Transport.Reliable(),
	}
}

// flowOf is the flow that a transaction remembers.
func (s *Server) flowOf(o transaction.Origin) flow {
	return flow{socket: s.sockets.All[o.Local], stream: o.Stream, addr: o.Addr, at: o.At}
}

// notifies tells whether a request of this flow is a NOTIFY of the presence server.
func (f flow) notifies(method []byte) bool {
	return f.side() == dialogs.Server && bytes.Equal(method, mNOTIFY)
}

// kind is what a request of this flow is about.
func (f flow) kind(method []byte) transaction.Kind {
	if k := kindOf(method); k != transaction.Notify || f.notifies(method) {
		return k
	}
	return transaction.Other
}
