package uac

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/emiago/sipgo/sip"

	"rewatch/dialogs"
	"rewatch/proxy/wire"
)

// maxUDP is the size above which a request goes by TCP first (RFC 3261 18.1.1).
const maxUDP = 1300

// Forward sends a request of another client to the hops of a URI, in a client transaction of its
// own: the same bytes below a Via with a new branch.
func (c *Client) Forward(ctx context.Context, side dialogs.Side, uri string, raw []byte) dialogs.Result {
	method, _, ok := bytes.Cut(raw, []byte(" "))
	line := bytes.Index(raw, []byte("\r\n"))
	if !ok || line < 0 {
		return dialogs.Result{Err: errors.New("no request")}
	}
	targets, err := c.direct(ctx, side, uri)
	if err != nil {
		return dialogs.Result{Err: err}
	}
	hops := bySize(targets, len(raw))
	for i := 0; i < len(hops); i++ {
		hop := hops[i]
		var res *sip.Response
		res, err = c.transact(ctx, hop, c.below(hop, sip.RequestMethod(method), raw, line+len("\r\n")))
		if err == nil || errors.Is(err, ErrTimeout) {
			return result(res, err)
		}
		if other, ok := hop.otherwise(err); ok {
			hops = append(hops, other)
		}
	}
	return dialogs.Result{Err: fmt.Errorf("send %s: %w", method, err)}
}

// bySize gives the hops in the order in which a request of that size tries them.
func bySize(targets []target, size int) []Hop {
	var hops []Hop
	for _, t := range targets {
		if size > maxUDP && t.hop.Transport == wire.UDP {
			stream := t.hop
			stream.Transport, stream.Upgraded = wire.TCP, true
			hops = append(hops, stream)
			t.hop.Either = false // it is tried by TCP first
		}
		hops = append(hops, t.hop)
	}
	return hops
}

// below puts our Via above the other fields of a request, which begin at first.
func (c *Client) below(hop Hop, method sip.RequestMethod, raw []byte, first int) rendered {
	via := c.via(hop)
	req := sip.NewRequest(method, sip.Uri{})
	req.SetTransport(via.Transport)
	req.AppendHeader(via)
	branch, _ := via.Params.Get("branch")
	b := append(bytes.Clone(raw[:first]), via.String()+"\r\n"...)
	return rendered{req: req, raw: append(b, raw[first:]...), branch: branch}
}
