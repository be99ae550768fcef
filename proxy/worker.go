package proxy

import (
	"bytes"
	"net/netip"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/observe"
	"rewatch/proxy/route"
	"rewatch/proxy/socket"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// worker is the workspace of one goroutine that handles messages: everything
// that would otherwise be allocated for each. A worker is never shared.
type worker struct {
	draft.Draft

	s   *Server
	now time.Time
	at  transaction.Moment // the same by the Server's clock
	out socket.Sender
	observe.Observer
	router  route.Router
	learner route.Learner
	parties

	// way is where the request at hand goes, exit the socket that its own Route entry names
	// for sending it, nil if none.
	way  route.Decision
	exit *socket.Socket
	// back is where the response at hand goes, if it goes by UDP.
	back   netip.AddrPort
	parked int                  // how often the request at hand has waited for DNS
	due    []transaction.Effect // of transactions whose timer has fired
}

func (s *Server) newWorker() *worker {
	return &worker{
		Draft: draft.Draft{Seed: s.seed}, s: s, out: s.sockets.NewSender(), Observer: observe.New(s.cfg.Namers), learner: route.NewLearner(&s.routing.Hosts, s.sockets.Names),
		router: route.Router{Config: &s.routing},
	}
}

// borrow gives a worker for work outside a reader's loop; giveBack flushes it.
func (s *Server) borrow() *worker {
	w := s.workers.Get().(*worker) //nolint:forcetypeassert // the pool holds nothing else
	w.clock()
	w.Next()
	return w
}

// clock reads the time. All messages until the next call have that time.
func (w *worker) clock() {
	w.now = time.Now()
	w.at = w.s.moment(w.now)
}

func (s *Server) giveBack(w *worker) {
	w.out.Flush()
	w.Draft.Trim()
	w.Observer.Trim()
	s.workers.Put(w)
}

// batch handles what was read from a socket.
func (w *worker) batch(l *socket.Socket, in *datagram.Inbox) {
	for i := range in.Len() {
		raw, from := in.Datagram(i)
		w.message(flow{socket: l, addr: from, at: in.At(i)}, raw)
	}
	w.out.Flush()
}

// observe reads the fields of the message at hand that the Monitor wants.
func (w *worker) observe(from flow) *dialogs.Message {
	return w.View(&w.Draft, from.seen(), w.now, w.way.IdentityDiffers)
}

// message handles one message. raw is valid until the call returns.
func (w *worker) message(from flow, raw []byte) {
	if from.side() == dialogs.Server {
		w.s.health.Seen(w.now) // whatever the message is
	}
	for len(raw) > 0 && (raw[0] == '\r' || raw[0] == '\n') {
		raw = raw[1:]
	}
	if len(raw) == 0 || raw[0] == 0 && len(bytes.Trim(raw, "\x00")) == 0 {
		return // a keep-alive
	}
	w.s.sockets.Received(from.socket, from.stream, from.addr, raw)
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

// route decides where the request at hand goes.
func (w *worker) route(from flow) route.Decision {
	w.way, w.exit = w.router.Decide(&w.Draft, from.side()), nil
	if w.way.Exit != nil {
		w.exit = w.s.sockets.All[w.way.Exit.Socket]
	}
	return w.way
}
