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
		Shared: func(hop netip.AddrPort) bool { _, ok := p.coreHop(hop); return ok },
		Probe:  p.probeCore,
	}
}

// coreHop gives the next hop with an address, if it is one of REWATCH_CORE. It uses only names that are
// resolved already, because the SIP path must not wait here.
func (p *process) coreHop(at netip.AddrPort) (resolve.Hop, bool) {
	for _, uri := range p.cfg.Proxy.Core {
		target, err := resolve.ParseURI([]byte(uri.Raw))
		if err != nil {
			continue
		}
		found, _ := p.resolver.Lookup(target)
		for _, h := range found {
			if h.Addr == at {
				return h, true
			}
		}
	}
	return resolve.Hop{}, false
}

// probeCore asks a next hop with OPTIONS whether it is there. If the hop is known only from a Route,
// its transport is not known, so both are tried.
func (p *process) probeCore(ctx context.Context, at netip.AddrPort) bool {
	hops := []resolve.Hop{{Transport: wire.UDP, Addr: at}, {Transport: wire.TCP, Addr: at}}
	if h, ok := p.coreHop(at); ok {
		hops = []resolve.Hop{h}
	}
	for _, h := range hops {
		if p.alive(ctx, uac.Hop{Side: dialogs.Core, Hop: h}) {
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
