package sidecar

import (
	"context"
	"net/netip"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/hold"
	"rewatch/policy/outage"
	"rewatch/proxy/resolve"
	"rewatch/proxy/uac"
	"rewatch/proxy/wire"
)

func (p *process) holdConfig() hold.Config {
	return hold.Config{
		Limits: outage.Limits{
			Off:   p.cfg.Policy.OutageRatio >= 1, // the operator wants every failure to count
			Ratio: p.cfg.Policy.OutageRatio, Window: p.cfg.Policy.OutageWindow,
		},
		Shared: func(hop netip.AddrPort) bool { return p.transportTo(hop) != wire.AnyTransport },
		Probe:  p.probeCore,
	}
}

// transportTo is the transport of a next hop, if it is an address of REWATCH_CORE, else AnyTransport.
// It uses only names that are resolved already, because the SIP path must not wait here.
func (p *process) transportTo(hop netip.AddrPort) wire.Transport {
	for _, uri := range p.cfg.Proxy.Core {
		target, err := resolve.ParseURI([]byte(uri.Raw))
		if err != nil {
			continue
		}
		found, _ := p.resolver.Lookup(target)
		for _, h := range found {
			if h.Addr == hop {
				return h.Transport
			}
		}
	}
	return wire.AnyTransport
}

// probeCore asks a next hop with OPTIONS whether it is there. If the hop is known only from a Route,
// its transport is not known, so both are tried.
func (p *process) probeCore(ctx context.Context, hop netip.AddrPort) bool {
	transports := []wire.Transport{wire.UDP, wire.TCP}
	if t := p.transportTo(hop); t != wire.AnyTransport {
		transports = []wire.Transport{t}
	}
	for _, transport := range transports {
		if p.alive(ctx, uac.Hop{Side: dialogs.Core, Hop: resolve.Hop{Transport: transport, Addr: hop}}) {
			return true
		}
	}
	return false
}

// probePatience bounds one OPTIONS; two have to fit into a probe.
const probePatience = 2 * time.Second

// alive says whether a hop answers OPTIONS. An answer of 408 or 5xx means that the hop is there, but
// not what is behind it.
func (p *process) alive(ctx context.Context, hop uac.Hop) bool {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	status := p.client.Probe(ctx, hop, "sip:"+hop.Addr.String()).Status
	return status >= 200 && status != 408 && (status < 500 || status > 599)
}
