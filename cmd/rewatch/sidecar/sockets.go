package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
	"rewatch/dialogs"
	"rewatch/proxy/socket"
	"rewatch/proxy/transport"
)

// openListeners opens the sockets of both sides. The error names all that cannot be opened, so that one
// restart is enough to correct them.
func openListeners(ctx context.Context, cfg config.Config, log zerolog.Logger) ([]socket.Listener, error) {
	var list []socket.Listener
	var errs []error
	open := func(side dialogs.Side, variable string, ls []config.Listener) {
		for _, l := range ls {
			opened, err := openListener(ctx, cfg, side, l, log)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %s", variable, l, config.Cause(err)))
				continue
			}
			list = append(list, opened)
		}
	}
	open(dialogs.Core, "REWATCH_LISTEN", cfg.Proxy.Listen)
	open(dialogs.Server, "REWATCH_SERVER_LISTEN", cfg.Proxy.ServerListen)
	if len(errs) > 0 {
		closeAll(list)
		return nil, errors.Join(errs...)
	}
	return list, nil
}

func openListener(ctx context.Context, cfg config.Config, side dialogs.Side, l config.Listener, log zerolog.Logger) (socket.Listener, error) {
	out := socket.Listener{Side: side, Network: l.Network, Advertise: advertised(cfg, side, l)}
	var lc net.ListenConfig
	var err error
	if !l.Stream() {
		out.Packet, err = lc.ListenPacket(ctx, family("udp", l.Host), l.Address())
		return out, err
	}
	out.Stream, err = lc.Listen(ctx, family("tcp", l.Host), l.Address())
	if err == nil && l.Network == "tls" {
		out.Stream = transport.Secure(out.Stream, serverTLS(cfg.TLS, log))
	}
	return out, err
}

// family gives the network for a host, such as "udp4" for an IPv4 address. With an empty host the
// socket has both families.
func family(network, host string) string {
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return network
	case ip.Is4():
		return network + "4"
	default:
		return network + "6"
	}
}

// advertised is the host of a listener in Via and Record-Route: on the core side REWATCH_ADVERTISE,
// unless the listener has an address of its own; on the server side the address of the listener.
func advertised(cfg config.Config, side dialogs.Side, l config.Listener) string {
	a := cfg.Proxy.Advertise
	ip, err := netip.ParseAddr(l.Host)
	named := l.Host != "" && (err != nil || !ip.IsUnspecified())
	if side == dialogs.Server {
		if named {
			return "" // the socket's own
		}
		return config.HostPort{Host: config.RouteSource([]config.URI{cfg.Proxy.Server})}.String()
	}
	if named && !cfg.Proxy.Advertised {
		return ""
	}
	return a.String()
}
