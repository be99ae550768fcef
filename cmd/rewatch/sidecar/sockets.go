package sidecar

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
	"rewatch/dialogs"
	"rewatch/proxy"
)

// openListeners opens the sockets of both sides. Every one that cannot be had is
// named, so that one restart mends all.
func openListeners(ctx context.Context, cfg config.Config, log zerolog.Logger) ([]proxy.Listener, error) {
	var list []proxy.Listener
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

func openListener(ctx context.Context, cfg config.Config, side dialogs.Side, l config.Listener, log zerolog.Logger) (proxy.Listener, error) {
	out := proxy.Listener{Side: side, Network: l.Network, Advertise: advertised(cfg, side, l)}
	var lc net.ListenConfig
	var err error
	if !l.Stream() {
		out.Packet, err = lc.ListenPacket(ctx, family("udp", l.Host), l.Address())
		return out, err
	}
	out.Stream, err = lc.Listen(ctx, family("tcp", l.Host), l.Address())
	if err == nil && l.Network == "tls" {
		out.Stream = tls.NewListener(out.Stream, serverTLS(cfg.TLS, log))
	}
	return out, err
}

// family keeps an IPv4 address on an IPv4 socket; an empty host takes both.
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

// advertised is what a listener calls itself in Via and Record-Route. The core
// side has REWATCH_ADVERTISE; a listener on an address of its own, and the server
// side, go by that address.
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

// certificate is read again when one of its files changes. A pair that cannot be
// read leaves the one before in use.
type certificate struct {
	cfg config.TLSConfig
	log zerolog.Logger

	mu      sync.Mutex
	checked time.Time
	changed time.Time
	pair    *tls.Certificate
}

// recheck is how often the files are looked at, at most.
const recheck = time.Second

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) > recheck {
		c.checked = now
		if at := newest(c.cfg.Cert, c.cfg.Key); c.pair == nil || at.After(c.changed) {
			pair, err := tls.LoadX509KeyPair(c.cfg.Cert, c.cfg.Key)
			switch {
			case err == nil:
				c.pair, c.changed = &pair, at
			case c.pair == nil:
				return nil, err
			default:
				c.log.Warn().Err(err).Msg("the changed certificate cannot be read; the one before stays in use")
			}
		}
	}
	return c.pair, nil
}

func newest(files ...string) (at time.Time) {
	for _, f := range files {
		if st, err := os.Stat(f); err == nil && st.ModTime().After(at) {
			at = st.ModTime()
		}
	}
	return at
}

func serverTLS(cfg config.TLSConfig, log zerolog.Logger) *tls.Config {
	c := &certificate{cfg: cfg, log: log}
	base := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
	if cfg.CA == "" {
		return base
	}
	base.ClientAuth = tls.RequireAndVerifyClientCert
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		pool, err := config.LoadCA(cfg.CA) // read for each handshake: it is rare, and the file may change
		if err != nil {
			return nil, err
		}
		per := base.Clone()
		per.GetConfigForClient = nil
		per.ClientCAs = pool
		return per, nil
	}
	return base
}

// clientTLS is used toward the core: our certificate, and REWATCH_TLS_CA as the
// authority, else those of the system.
func clientTLS(cfg config.TLSConfig) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CA != "" {
		c.RootCAs, _ = config.LoadCA(cfg.CA) // checked by config.Load
	}
	if cfg.Cert != "" {
		own := &certificate{cfg: cfg}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.get(nil) }
	}
	return c
}
