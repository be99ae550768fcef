package uac

import (
	"context"

	"github.com/emiago/sipgo/sip"

	"rewatch/dialogs"
)

// Probe asks one hop with OPTIONS whether it is alive, over a connection of its own: the shared
// connection may be stuck. Any final response shows that the hop is alive, also a refusal: then
// Result.Err is nil.
func (c *Client) Probe(ctx context.Context, hop Hop, uri string) dialogs.Result {
	if uri = bareURI(uri); !sound(uri) {
		return dialogs.Result{Err: errAddress}
	}
	hop.Alone = true
	d := c.start(sip.OPTIONS, uri, uri)
	res, _, err := c.attempt(ctx, d.method, []target{{hop: hop}}, func(t target) (rendered, error) { return c.render(d, t) })
	return result(res, err)
}
