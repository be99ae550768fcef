package peers

import (
	"fmt"
	"hash/fnv"

	"github.com/emiago/sipgo/sip"
)

// proxy forwards a request to its next Route, else by its Request-URI: to the
// application server, to the binding of a user, or to the address it holds.
func (c *Core) proxy(req *sip.Request, from hop, home bool) {
	if req.Route() == nil && home {
		if status, reason := c.serve(req, from); status != 0 {
			c.refuse(req, from, status, reason)
			return
		}
	}
	to, err := nextHop(c.ep.ctx, req)
	if err != nil {
		c.refuse(req, from, 503, "Service Unavailable")
		return
	}
	if recordRouted(req.Method) {
		req.PrependHeader(&sip.RecordRouteHeader{Address: c.routeURI(from.tcp || to.tcp)})
	}
	branch := c.branch(req)
	c.ep.pushVia(req, to, branch)
	c.forward(req, from, to)
}

// serve chooses the way of a request for our domain and prepares it; a status is
// the refusal.
func (c *Core) serve(req *sip.Request, from hop) (int, string) {
	if forAS(req) {
		as := c.asURI()
		if as.Host == "" {
			return 503, "Service Unavailable"
		}
		c.assertIdentity(req, from)
		as.UriParams.Add("lr", "")
		req.PrependHeader(&sip.RouteHeader{Address: as})
		return 0, ""
	}
	bound := c.live(aor(req.Recipient))
	if len(bound) == 0 {
		return 404, "Not Found"
	}
	req.Recipient = *bound[len(bound)-1].contact.Clone()
	return 0, ""
}

// forAS says whether the filter criteria trigger: presence requests outside a
// dialog. Those inside follow their route set.
func forAS(req *sip.Request) bool {
	switch req.Method {
	case sip.SUBSCRIBE, sip.PUBLISH:
		return true
	default:
		return false
	}
}

// assertIdentity replaces what a phone claims by what its registration proves
// (RFC 3325): P-Asserted-Identity is the user bound to the address the request
// came from.
func (c *Core) assertIdentity(req *sip.Request, from hop) {
	for req.RemoveHeader("P-Asserted-Identity") { //nolint:revive // removes them one by one
	}
	user := aor(req.From().Address)
	for _, b := range c.live(user) {
		if h, err := hopOf(c.ep.ctx, b.contact); err == nil && h.addr == from.addr {
			req.AppendHeader(sip.NewHeader("P-Asserted-Identity", "<"+user+">"))
			return
		}
	}
}

// recordRouted names the methods that create a dialog, and NOTIFY, whose
// Record-Route is what the subscriber goes by (RFC 6665 4.3).
func recordRouted(m sip.RequestMethod) bool {
	switch m {
	case sip.SUBSCRIBE, sip.NOTIFY, sip.INVITE, sip.REFER:
		return true
	default:
		return false
	}
}

func (c *Core) routeURI(tcp bool) sip.Uri {
	u := c.ep.uri("", tcp)
	u.UriParams.Add("lr", "")
	return u
}

// branch is the same for every retransmission of a request (RFC 3261 16.11), and
// for its ACK and CANCEL.
func (c *Core) branch(req *sip.Request) string {
	via := req.Via()
	received, _ := via.Params.Get("branch")
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %s %s %d", received, via.SentBy(), req.CallID().Value(), req.CSeq().SeqNo)
	return fmt.Sprintf("%s-core-%x", sip.RFC3261BranchMagicCookie, h.Sum64())
}

// forward sends a request on, unless a fault of its user says otherwise.
func (c *Core) forward(req *sip.Request, from, to hop) {
	switch f := c.faultOf(req); f.kind {
	case loseNotify:
		c.ep.swallow(req, to)
	case answerNotify:
		req.RemoveHeader("Via")
		c.ep.respond(req, from, reply(req, f.status, f.reason, f.headers()...))
	default:
		if err := c.ep.send(req, to); err != nil {
			req.RemoveHeader("Via")
			c.refuse(req, from, 503, "Service Unavailable")
		}
	}
}

// response sends a response back along its Via (RFC 3261 16.7).
func (c *Core) response(res *sip.Response, _ hop) {
	res.RemoveHeader("Via")
	if res.Via() == nil {
		return
	}
	to, err := viaHop(res.Via())
	if err != nil {
		return
	}
	_ = c.ep.send(res, to)
}
