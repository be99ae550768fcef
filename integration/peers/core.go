package peers

import (
	"net/netip"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"
)

// CoreConfig says where a Core listens and whom it serves.
type CoreConfig struct {
	// Addr is the address to listen on, UDP and TCP; empty: loopback, any port.
	Addr string
	// Domain is served: its users register here ("ims.example").
	Domain string
	// AS is the SIP URI of the application server of every user; SetAS changes it.
	AS string
	// SessionTerminated is the default handling of the filter criteria (TS 24.229
	// 5.4.1.7): a user whose third-party REGISTER fails is de-registered.
	SessionTerminated bool
	Timers            Timers
	Trace             Trace
}

// Core is P-CSCF, S-CSCF and registrar of one domain in one socket. Requests are
// forwarded without state: retransmitting is left to both ends.
type Core struct {
	cfg CoreConfig
	ep  *endpoint

	mu       sync.Mutex
	as       sip.Uri
	bindings map[string][]binding // by AOR
	faults   map[string]Fault     // by AOR
	// thirdParty serialises the third-party REGISTERs of one user.
	thirdParty map[string]*sync.Mutex
}

// StartCore opens the sockets and serves until Close.
func StartCore(cfg CoreConfig) (*Core, error) {
	ep, err := listen("core", cfg.Addr, cfg.Timers, cfg.Trace)
	if err != nil {
		return nil, err
	}
	cfg.Domain = strings.ToLower(cfg.Domain)
	c := &Core{
		cfg:        cfg,
		ep:         ep,
		bindings:   make(map[string][]binding),
		faults:     make(map[string]Fault),
		thirdParty: make(map[string]*sync.Mutex),
	}
	c.SetAS(cfg.AS)
	ep.onRequest = c.request
	ep.onResponse = c.response
	ep.loses = c.loses
	ep.start()
	return c, nil
}

// Close ends every transaction and returns when all goroutines have.
func (c *Core) Close() { c.ep.close() }

// Addr is the address of both sockets.
func (c *Core) Addr() netip.AddrPort { return c.ep.addr }

// SetAS names the application server that third-party REGISTER, SUBSCRIBE and
// PUBLISH go to.
func (c *Core) SetAS(asURI string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.as = sip.Uri{}
	if asURI != "" {
		c.as = uri(asURI)
	}
}

func (c *Core) asURI() sip.Uri {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.as.Clone()
}

// request is the way of a request through the core (RFC 3261 16.4 to 16.6).
func (c *Core) request(req *sip.Request, from hop) {
	c.popOwnRoute(req)
	home := c.atHome(req.Recipient)
	switch {
	case req.Method == sip.REGISTER && home && req.Route() == nil:
		c.register(req, from)
	case req.Method == sip.OPTIONS && home && req.Recipient.User == "":
		c.ep.respond(req, from, reply(req, 200, "OK"))
	case !c.countForwards(req):
		c.refuse(req, from, 483, "Too Many Hops")
	default:
		c.proxy(req, from, home)
	}
}

func (c *Core) refuse(req *sip.Request, from hop, status int, reason string) {
	if req.IsAck() {
		return
	}
	c.ep.respond(req, from, reply(req, status, reason))
}

// popOwnRoute removes the topmost Route values that name this core.
func (c *Core) popOwnRoute(req *sip.Request) {
	for req.Route() != nil && c.isOwn(req.Route().Address) {
		req.RemoveHeader("Route")
	}
}

func (c *Core) isOwn(u sip.Uri) bool {
	return u.Host == c.ep.addr.Addr().String() && u.Port == int(c.ep.addr.Port())
}

// atHome says whether a Request-URI names our domain or the core itself.
func (c *Core) atHome(u sip.Uri) bool {
	return strings.EqualFold(u.Host, c.cfg.Domain) || c.isOwn(u)
}

func (c *Core) countForwards(req *sip.Request) bool {
	h := req.MaxForwards()
	if h == nil {
		maxForwards := sip.MaxForwardsHeader(70)
		req.AppendHeader(&maxForwards)
		return true
	}
	if *h == 0 {
		return false
	}
	less := *h - 1
	req.ReplaceHeader(&less)
	return true
}

// reply makes a response with a tag.
func reply(req *sip.Request, status int, reason string, headers ...sip.Header) *sip.Response {
	res := sip.NewResponseFromRequest(req, status, reason, nil)
	for _, h := range headers {
		res.AppendHeader(h)
	}
	return res
}
