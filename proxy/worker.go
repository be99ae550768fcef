package proxy

import (
	"bytes"
	"net/netip"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// worker is the workspace of one goroutine that handles messages: everything
// that would otherwise be allocated for each. A worker is never shared.
type worker struct {
	draft.Draft

	s        *Server
	now      time.Time
	at       transaction.Moment // the same by the Server's clock
	seen     dialogs.Message
	hops     []resolve.Hop // where the request at hand can go
	places   places
	asserted []byte // the asserted identities of several fields
	contacts []byte // the Contacts of several fields
	// targets are URIs with names in them, parsed.
	targets map[string]resolve.Target
	// exit is the socket that the Route of the request at hand names for its way out,
	// nil if none; sips: it goes by a way that is secure all along.
	exit   *local
	sips   bool
	veiled bool                 // the Route of the request at hand says so, see popped
	parked int                  // how often the request at hand has waited for DNS
	due    []transaction.Effect // what time has brought
	out    []*transport.Outbox  // by index of local; nil where it is no UDP socket
}

func (s *Server) newWorker() *worker {
	w := &worker{Draft: draft.Draft{Seed: s.seed}, s: s, out: make([]*transport.Outbox, len(s.locals))}
	for i, l := range s.locals {
		if l.transport == wire.UDP {
			w.out[i] = transport.NewOutbox()
		}
	}
	return w
}

// borrow gives a worker for work outside a reader's loop; giveBack flushes it.
func (s *Server) borrow() *worker {
	w := s.workers.Get().(*worker) //nolint:forcetypeassert // the pool holds nothing else
	w.clock()
	return w
}

// clock reads the time that holds for the messages to come.
func (w *worker) clock() {
	w.now = time.Now()
	w.at = w.s.moment(w.now)
}

// maxKept bounds each of the buffers that a worker keeps when it is not at work.
const maxKept = 64 << 10

func (s *Server) giveBack(w *worker) {
	w.flush()
	w.Trim()
	if max(cap(w.asserted), cap(w.contacts)) > maxKept {
		w.asserted, w.contacts = nil, nil
	}
	s.workers.Put(w)
}

// flush sends what has gathered.
func (w *worker) flush() {
	for i, o := range w.out {
		if o != nil && o.Len() > 0 {
			w.send(i, o)
		}
	}
}

func (w *worker) send(i int, o *transport.Outbox) {
	w.s.tapDatagrams(w.s.locals[i], o)
	if failed, err := w.s.locals[i].packet.Send(o); failed > 0 {
		w.s.metrics.dropped(dropSend, failed)
		w.s.log.Debug().Err(err).Int("datagrams", failed).Msg("the socket did not take datagrams")
	}
}

// batch handles what was read from a socket.
func (w *worker) batch(l *local, in *transport.Inbox) {
	for i := range in.Len() {
		raw, from := in.Datagram(i)
		w.message(flow{local: l, addr: from, at: in.At(i)}, raw)
	}
	w.flush()
}

// message handles one message. raw is valid until the call returns.
func (w *worker) message(from flow, raw []byte) {
	for len(raw) > 0 && (raw[0] == '\r' || raw[0] == '\n') {
		raw = raw[1:]
	}
	if len(raw) == 0 || raw[0] == 0 && len(bytes.Trim(raw, "\x00")) == 0 {
		return // a keep-alive
	}
	w.tapReceived(from, raw)
	err := wire.Scan(raw, &w.Msg)
	if err == nil {
		err = w.Msg.Check()
	}
	switch {
	case err != nil:
		w.malformed(from, err)
	case w.Msg.Request:
		w.request(from)
	default:
		w.response(from)
	}
}

// datagram builds the message at hand, with its edits, in the outbox of a socket. from is
// invalid, or the address of ours that it is to leave from.
func (w *worker) datagram(l *local, from netip.Addr, to netip.AddrPort, raw []byte) {
	o := w.out[l.index]
	o.Commit(w.Edits.AppendTo(o.Begin(), raw), from, to)
	if o.Full() {
		w.send(l.index, o)
	}
}
