package own

import (
	"bytes"
	"net/netip"
	"sync"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/proxy/socket"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// Config is how rewatch's own requests are told from others, and who is told of them.
// Nothing of it may block, or keep the bytes that it is given.
type Config struct {
	// Branch is the prefix of their Via branches.
	Branch string
	// Identity is the URI in their From. A MESSAGE from the core that is for it, such as a
	// disposition notification (RFC 5438), is answered by rewatch.
	Identity string
	// Response takes their responses; false: there is no such request.
	Response func(raw []byte) bool
	// Returned is asked about a MESSAGE that came from a neighbour in the core: is
	// it one of our own, by the tag of its From, or by the branch of a Via that looks like
	// ours (nil: there is none)? Where Returned is nil, none is.
	Returned func(tag, branch []byte, neighbour netip.AddrPort) bool
	// Unreachable is told the branch of one that the network refused.
	Unreachable func(branch []byte)
	// Interrupted is told the branch of one whose connection was closed on our side,
	// which says nothing of the hop: it is to be sent again.
	Interrupted func(branch []byte)
}

// Requests are rewatch's own. Its methods may be called from any goroutine.
type Requests struct {
	cfg      Config
	sockets  *socket.Set
	prefix   []byte    // of their branches
	identity []byte    // the address of record in their From; nil: not known
	boxes    sync.Pool // of *datagram.Outbox

	mu sync.Mutex
	// byStream has the branches of those that were sent by a connection, so that their
	// sender can be told when it ends.
	byStream map[uint64][][]byte
}

// maxPerStream bounds the branches that are remembered of one connection: the latest
// ones, of which alone some may still be waiting.
const maxPerStream = 64

// New makes Requests that are sent by some sockets.
func New(cfg Config, sockets *socket.Set) *Requests {
	o := &Requests{cfg: cfg, sockets: sockets, prefix: []byte(cfg.Branch), byStream: map[uint64][][]byte{}}
	o.boxes.New = func() any { return datagram.NewOutbox() }
	if identity, ok := aor.Append(nil, []byte(cfg.Identity)); ok {
		o.identity = identity
	}
	return o
}

// Response takes a response, with the branch of its uppermost Via. ours: it is for a request of
// our own, known: that request is still open.
func (o *Requests) Response(branch, raw []byte) (ours, known bool) {
	if o.cfg.Response == nil || !bytes.HasPrefix(branch, o.prefix) {
		return false, false
	}
	return true, o.cfg.Response(raw)
}

// Returned tells whether a request is a MESSAGE of our own that the core has sent back,
// because its filter criteria name this application server for every request to the user.
//
// It is a loop, so it is answered 482 (RFC 3261 21.4.19) and not forwarded. If the server got
// it, the server might send it round again, or take it as meant for itself and subscribe in
// the place of the watcher. A 200 would say that the watcher was told. The 482 comes back to
// package uac, for which no response to a MESSAGE that came back is a failure of the watcher.
//
// It is recognised by our Via or, where the core has replaced that, by the tag of its From.
// Only a MESSAGE is checked: a REGISTER of our own may well be for the server, if that is the
// registrar, and be sent to it through the core.
func (o *Requests) Returned(m *wire.Message, side dialogs.Side, neighbour netip.AddrPort) bool {
	if o.cfg.Returned == nil || side != dialogs.Core || string(m.Method) != "MESSAGE" {
		return false
	}
	v, _ := m.Value(wire.From)
	return o.cfg.Returned(wire.Tag(v), o.branchOf(m), neighbour)
}

// ForIdentity tells whether a request is a MESSAGE for the identity of our own requests: the
// reply of a client to our MESSAGE is not for the server.
func (o *Requests) ForIdentity(m *wire.Message, side dialogs.Side) bool {
	if len(o.identity) == 0 || side != dialogs.Core || string(m.Method) != "MESSAGE" {
		return false
	}
	var scratch [aor.MaxScratch]byte
	uri, ok := aor.Append(scratch[:0], m.URI)
	return ok && bytes.Equal(uri, o.identity)
}

// branchOf gives the branch of the first Via that looks like one of a request of our own. It
// looks at every byte once.
func (o *Requests) branchOf(m *wire.Message) (branch []byte) {
	m.ValuesWith(wire.Via, o.prefix, func(value []byte) bool {
		if via, ok := wire.ParseVia(value); ok && bytes.HasPrefix(via.Branch, o.prefix) && o.sockets.OwnVia(&via) {
			branch = via.Branch
		}
		return branch == nil
	})
	return branch
}
