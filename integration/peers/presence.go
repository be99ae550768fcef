package peers

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// ServerConfig says where a PresenceServer listens and how it behaves.
type ServerConfig struct {
	// Addr is the address to listen on, UDP and TCP; empty: loopback, any port.
	Addr string
	// KeepFailed keeps a subscription whatever becomes of its NOTIFYs, as some
	// servers do.
	KeepFailed bool
	// MaxExpires bounds what is granted to a SUBSCRIBE; 0: 3600 s.
	MaxExpires int
	Timers     Timers
	Trace      Trace
}

// PresenceServer is a notifier (RFC 6665, RFC 3856): it takes SUBSCRIBE, PUBLISH
// and third-party REGISTER, and tells every change with NOTIFY. It sends to the
// first Route of a dialog and needs to know nothing of its neighbours.
type PresenceServer struct {
	cfg ServerConfig
	ep  *endpoint

	mu            sync.Mutex
	subscriptions map[string]*subscription // by local tag
	registrations map[string]time.Time     // AOR to expiry
	states        map[string]state         // by resource
	ended         []Subscription
}

// state is what is known of a resource: a presence document or anything else
// that was published.
type state struct {
	contentType string
	body        []byte
}

// StartPresenceServer opens the sockets and serves until Close.
func StartPresenceServer(cfg ServerConfig) (*PresenceServer, error) {
	ep, err := listen("server", cfg.Addr, cfg.Timers, cfg.Trace)
	if err != nil {
		return nil, err
	}
	if cfg.MaxExpires == 0 {
		cfg.MaxExpires = 3600
	}
	s := &PresenceServer{
		cfg:           cfg,
		ep:            ep,
		subscriptions: make(map[string]*subscription),
		registrations: make(map[string]time.Time),
		states:        make(map[string]state),
	}
	ep.onRequest = s.request
	ep.start()
	return s, nil
}

// Close ends every transaction and returns when all goroutines have.
func (s *PresenceServer) Close() {
	s.mu.Lock()
	for _, sub := range s.subscriptions {
		sub.expiry.Stop()
	}
	s.mu.Unlock()
	s.ep.close()
}

// Addr is the address of both sockets, URI the same as a SIP URI.
func (s *PresenceServer) Addr() netip.AddrPort { return s.ep.addr }

// URI is the server as the next hop of a request.
func (s *PresenceServer) URI() string {
	u := s.ep.uri("", false)
	return u.String()
}

func (s *PresenceServer) request(req *sip.Request, from hop) {
	switch req.Method {
	case sip.REGISTER:
		s.register(req, from)
	case sip.SUBSCRIBE:
		s.subscribe(req, from)
	case sip.PUBLISH:
		s.published(req, from)
	case sip.OPTIONS:
		s.ep.respond(req, from, reply(req, 200, "OK"))
	case sip.ACK:
	default:
		allow := sip.NewHeader("Allow", "REGISTER, SUBSCRIBE, PUBLISH, OPTIONS")
		s.ep.respond(req, from, reply(req, 405, "Method Not Allowed", allow))
	}
}

// register takes a third-party REGISTER and answers with the same Expires (TS
// 24.229 5.7.1.1).
func (s *PresenceServer) register(req *sip.Request, from hop) {
	granted := expires(req)
	if granted < 0 {
		granted = defaultExpires
	}
	user := aor(req.To().Address)
	s.mu.Lock()
	if granted == 0 {
		delete(s.registrations, user)
	} else {
		s.registrations[user] = time.Now().Add(seconds(granted))
	}
	s.mu.Unlock()
	s.ep.respond(req, from, reply(req, 200, "OK", expiresHeader(granted)))
}

// Registered says whether a third-party REGISTER of the user is in force.
func (s *PresenceServer) Registered(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.registrations[aor(uri(user))])
}

// published takes a PUBLISH (RFC 3903); the body is told to watchers as it is.
func (s *PresenceServer) published(req *sip.Request, from hop) {
	granted := expires(req)
	if granted < 0 {
		granted = defaultExpires
	}
	s.ep.respond(req, from, reply(req, 200, "OK", expiresHeader(granted), sip.NewHeader("SIP-ETag", newTag())))
	if len(req.Body()) > 0 {
		s.change(aor(req.Recipient), state{header(req, "Content-Type"), req.Body()})
	}
}

// Publish sets the status of a resource, "open" or "closed", and tells every
// watcher.
func (s *PresenceServer) Publish(resource, status string) {
	user := aor(uri(resource))
	s.change(user, pidf(user, status))
}

func (s *PresenceServer) change(resource string, st state) {
	s.mu.Lock()
	s.states[resource] = st
	var told []*subscription
	for _, sub := range s.subscriptions {
		if sub.resource == resource {
			told = append(told, sub)
		}
	}
	s.mu.Unlock()
	for _, sub := range told {
		s.notify(sub, "")
	}
}

// pidf is the smallest presence document (RFC 3863).
func pidf(user, status string) state {
	entity := "pres:" + strings.TrimPrefix(user, "sip:")
	return state{"application/pidf+xml", fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="%s">
  <tuple id="t1"><status><basic>%s</basic></status></tuple>
</presence>
`, entity, status)}
}
