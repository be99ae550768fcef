package sidecar

import (
	"context"
	"net"
	"net/netip"
	"time"

	"rewatch/cmd/rewatch/config"
	"rewatch/dialogs"
	"rewatch/dialogs/store"
	"rewatch/proxy/observe"
	"rewatch/proxy/route"
	"rewatch/proxy/socket"
)

// reachOf is where requests toward the core side may be sent: what the operator has configured, else
// the default for the listeners.
func reachOf(only []netip.Prefix, ls []socket.Listener) route.Reach {
	if len(only) > 0 {
		return route.Reach{Only: only}
	}
	var bound, own []netip.Addr
	for _, l := range ls {
		if l.Side != dialogs.Core {
			continue
		}
		var at net.Addr
		if l.Packet != nil {
			at = l.Packet.LocalAddr()
		} else {
			at = l.Stream.Addr()
		}
		if ap, err := netip.ParseAddrPort(at.String()); err == nil {
			bound = append(bound, ap.Addr())
		}
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				own = append(own, ip)
			}
		}
	}
	return route.DefaultReach(bound, own)
}

// The values of the entries of hosts in the Journal: the server has named the host, or the host is a
// neighbour that asserts identities.
const (
	hostNamed    = "{}"
	hostAsserts  = `{"asserts":true}`
	assertsKnown = 30 * 24 * time.Hour // how long after it was learnt
)

// hostNamed keeps a host that the server has named, if REWATCH_STATE keeps anything.
func (p *process) hostNamed(host string, until time.Time) {
	if p.keeper == nil {
		return
	}
	e := store.Entry{Kind: store.KindHost, Key: host, Until: until}
	if !until.IsZero() {
		e.Value = []byte(hostNamed)
	}
	p.keeper.Keep(e)
}

// neighbourAsserts keeps that a neighbour asserts identities, if REWATCH_STATE keeps anything.
func (p *process) neighbourAsserts(neighbour netip.Addr) {
	if p.keeper != nil {
		p.keeper.Keep(store.Entry{Kind: store.KindHost, Key: neighbour.String(), Value: []byte(hostAsserts), Until: time.Now().Add(assertsKnown)})
	}
}

// recallHosts restores the hosts that an earlier process has kept.
func (p *process) recallHosts(ctx context.Context) error {
	now := time.Now()
	for e, err := range p.memory.journal.Entries(ctx, store.KindHost) {
		if err != nil {
			return err
		}
		if string(e.Value) != hostAsserts {
			p.proxy.RestoreHost(e.Key, e.Until, now)
		} else if neighbour, err := netip.ParseAddr(e.Key); err == nil {
			p.namers.Restore(neighbour)
		}
	}
	return nil
}

// namings are the values of REWATCH_IDENTITY_FROM.
var namings = map[config.IdentityFrom]observe.Naming{
	"": observe.ByHop, config.IdentityFromPAI: observe.ByAssertion, config.IdentityFromFrom: observe.ByFrom,
}

// believed warns of a neighbour whose From is believed.
func (p *process) believed(neighbour netip.Addr) {
	p.log.Warn().Stringer("neighbour", neighbour).
		Msg("a SUBSCRIBE came without P-Asserted-Identity, so its From names the watcher, and a phone can write that of another; see REWATCH_IDENTITY_FROM")
}
