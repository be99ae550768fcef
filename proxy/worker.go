package proxy

import (
	"bytes"
	"net/netip"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/observe"
	"rewatch/proxy/route"
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
	// finder has where the request at hand can go, outlet how it leaves.
	finder
	outlet
	observe.Observer
	learner route.Learner
	parties

	// way is where the request at hand goes, exit the socket that its Route names for
	// that, nil if none.
	way  route.Decision
	exit *local
	// back is where the response at hand goes, if it goes by UDP.
	back   netip.AddrPort
	parked int                  // how often the request at hand has waited for DNS
	due    []transaction.Effect // what time has brought
}

func (s *Server) newWorker() *worker {
	return &worker{
		Draft: draft.Draft{Seed: s.seed}, s: s, outlet: newOutlet(s), Observer: observe.New(s.cfg.Namers), learner: route.NewLearner(&s.hosts, s.names),
		finder: finder{s: s, router: route.Router{Names: s.names, ServerURI: s.serverURI, HasCore: len(s.coreURIs) > 0}},
	}
}

// borrow gives a worker for work outside a reader's loop; giveBack flushes it.
func (s *Server) borrow() *worker {
	w := s.workers.Get().(*worker) //nolint:forcetypeassert // the pool holds nothing else
	w.clock()
	w.Next()
	return w
}

// clock reads the time that holds for the messages to come.
func (w *worker) clock() {
	w.now = time.Now()
	w.at = w.s.moment(w.now)
}

func (s *Server) giveBack(w *worker) {
	w.flush()
	w.Draft.Trim()
	w.Observer.Trim()
	s.workers.Put(w)
}

// batch handles what was read from a socket.
func (w *worker) batch(l *local, in *datagram.Inbox) {
	for i := range in.Len() {
		raw, from := in.Datagram(i)
		w.message(flow{local: l, addr: from, at: in.At(i)}, raw)
	}
	w.flush()
}

// observe views the message at hand as the Monitor wants it.
func (w *worker) observe(from flow) *dialogs.Message {
	return w.View(&w.Draft, from.seen(), w.now, w.way.IdentityDiffers)
}

// message handles one message. raw is valid until the call returns.
func (w *worker) message(from flow, raw []byte) {
	if from.side() == dialogs.Server {
		w.s.health.Seen(w.now) // by whatever it says
	}
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
