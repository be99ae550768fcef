package uac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"rewatch/dialogs"
	"rewatch/proxy/wire"
)

// errNoHop says that a name resolved to nothing.
var errNoHop = errors.New("no next hop")

// exchange sends a draft to its targets in order until one answers, answers a
// challenge on the way, and gives the final response.
func (c *Client) exchange(ctx context.Context, d *draft, targets []target) (*sip.Response, error) {
	var a authorizer
	for {
		res, rest, err := c.attempt(ctx, d.method, targets, func(t target) (rendered, error) { return c.render(d, t) })
		if err != nil || !a.answer(ctx, c, d, res, rest) {
			return res, err
		}
		// This hop has sent the challenge; the others have not seen the request.
		targets = rest
		d.cseq++
	}
}

// toward resolves a route, or the hops into the core where there is none. Each
// target has the Route header that a loose router expects. A route whose name only the core can
// resolve is reached through the core; a dead one is left out, and the core finds another way to
// the user, as may the hops of other, which come behind those of the route.
func (c *Client) toward(ctx context.Context, route, other string) ([]target, error) {
	var errs []error
	var targets []target
	add := func(found []target) {
		for _, t := range found {
			i := slices.IndexFunc(targets, func(have target) bool { return have.hop.Side == t.hop.Side && have.hop.Way() == t.hop.Way() })
			if i < 0 {
				targets = append(targets, t)
			} else if t.hop.Either { // one of its URIs leaves the transport open
				targets[i].hop.Either = true
			}
		}
	}
	via := ""
	if route = bareURI(clean(route)); route != "" {
		via = "<" + loose(route) + ">"
		found, err := c.routed(ctx, route, via)
		if err != nil {
			errs = append(errs, err)
			via = ", " + via
		} else {
			via = ""
			add(found)
		}
	}
	if other = bareURI(clean(other)); other != "" && len(targets) > 0 {
		found, _ := c.routed(ctx, other, "<"+loose(other)+">")
		add(found)
	}
	for _, uri := range c.cfg.Core {
		found, err := c.routed(ctx, uri, "<"+loose(uri)+">"+via)
		if err != nil {
			errs = append(errs, err)
		}
		add(found)
	}
	if len(targets) == 0 {
		return nil, errors.Join(append(errs, errNoHop)...)
	}
	return targets, nil
}

// routed gives the hops of a URI in the core, each with the Route header.
func (c *Client) routed(ctx context.Context, uri, route string) ([]target, error) {
	targets, err := c.direct(ctx, dialogs.Core, uri)
	for i := range targets {
		targets[i].route = route
	}
	return targets, err
}

// direct resolves a URI whose hops get the request without a Route.
func (c *Client) direct(ctx context.Context, side dialogs.Side, uri string) ([]target, error) {
	hops, err := c.cfg.Sender.Resolve(ctx, side, uri)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", uri, err)
	}
	targets := make([]target, 0, len(hops))
	for _, hop := range hops {
		targets = append(targets, target{hop: hop})
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("resolve %s: %w", uri, errNoHop)
	}
	return targets, nil
}

func result(res *sip.Response, err error) dialogs.Result {
	if err != nil {
		return dialogs.Result{Err: err}
	}
	return dialogs.Result{Status: res.StatusCode, Reason: clean(res.Reason), RetryAfter: retryAfter(res)}
}

// retryAfter is the pause that a response asks for; 0: none (RFC 3261 20.33).
func retryAfter(res *sip.Response) time.Duration {
	h := res.GetHeader("Retry-After")
	if h == nil {
		return 0
	}
	v := strings.TrimSpace(h.Value())
	if i := strings.IndexAny(v, "; \t("); i >= 0 {
		v = v[:i]
	}
	return time.Duration(max(wire.Seconds([]byte(v)), 0)) * time.Second
}
