package uac

import (
	"bytes"
	"context"
	"errors"

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
	res, _, err := c.attempt(ctx, sip.RequestMethod(method), bySize(targets, len(raw)), func(t target) (rendered, error) {
		return c.below(t.hop, sip.RequestMethod(method), raw, line+len("\r\n")), nil
	})
	return result(res, err)
}

// bySize gives the targets in the order in which a request of that size tries them.
func bySize(targets []target, size int) (list []target) {
	for _, t := range targets {
		if size > maxUDP && t.hop.Transport == wire.UDP {
			stream := t
			stream.hop.Transport, stream.hop.Upgraded = wire.TCP, true
			list = append(list, stream)
			t.hop.Either = false // it is tried by TCP first
		}
		list = append(list, t)
	}
	return list
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
