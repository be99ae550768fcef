package sidecar

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"rewatch/dialogs"
	"rewatch/proxy"
	"rewatch/proxy/resolve"
	"rewatch/proxy/uac"
)

// sender sends requests of rewatch's own by the sockets of the SIP path.
type sender struct{ side *process }

var _ uac.Sender = (*sender)(nil)

func (s *sender) Send(hop uac.Hop, raw []byte) error {
	return shortage(s.side.proxy.Own.Send(hop.Side, hop.Hop, raw, hop.Alone))
}

// shortage marks an error as dialogs.ErrCrowded if rewatch had too much to send at a time, so that it is
// not taken for a fault of the user or of the path.
func shortage(err error) error {
	if proxy.Crowded(err) {
		return fmt.Errorf("%w: %w", dialogs.ErrCrowded, err)
	}
	return err
}

func (s *sender) Via(hop uac.Hop) (transport, sentBy string) {
	sentBy, ok := s.side.proxy.Own.SentBy(hop.Side, hop.Hop)
	if !ok { // Send will say what is wrong; a Via is needed all the same
		sentBy = s.side.cfg.Proxy.Advertise.String()
	}
	return hop.Transport.Via(), sentBy
}

func (s *sender) Resolve(ctx context.Context, side dialogs.Side, uri string) ([]uac.Hop, error) {
	t, err := resolve.ParseURI([]byte(uri))
	if err != nil {
		return nil, fmt.Errorf("next hop %q: %w", uri, err)
	}
	found, _, err := s.side.resolver.Resolve(ctx, t)
	if err != nil {
		return nil, shortage(err)
	}
	found = slices.Clone(found)
	resolve.Spread(found, rand.Uint64()) //nolint:gosec // a share of the load, not a secret
	hops := make([]uac.Hop, 0, len(found))
	for _, h := range found {
		hops = append(hops, uac.Hop{Side: side, Hop: h})
	}
	if len(hops) == 0 {
		return nil, errors.New("no address for " + uri)
	}
	return hops, nil
}
