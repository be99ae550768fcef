package peers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// uri parses a URI that this package or a peer wrote; a bad one comes out empty.
func uri(s string) sip.Uri {
	var u sip.Uri
	_ = sip.ParseUri(s, &u)
	return u
}

// aor is the canonical address of record: scheme, user, host in lower case.
func aor(u sip.Uri) string {
	scheme := u.Scheme
	if scheme == "" {
		scheme = "sip"
	}
	return scheme + ":" + u.User + "@" + strings.ToLower(u.Host)
}

// contactKey is what tells one contact from another here.
func contactKey(u sip.Uri) string {
	return u.User + "@" + strings.ToLower(u.Host) + ":" + strconv.Itoa(u.Port)
}

// hopOf is where a URI of ours leads: host, port and transport parameter.
func hopOf(ctx context.Context, u sip.Uri) (hop, error) {
	port := u.Port
	if port == 0 {
		port = 5060
	}
	transport, _ := u.UriParams.Get("transport")
	h := hop{tcp: strings.EqualFold(transport, "tcp")}
	ip, err := netip.ParseAddr(u.Host)
	if err != nil {
		ips, lookup := net.DefaultResolver.LookupNetIP(ctx, "ip4", u.Host)
		if lookup != nil {
			return hop{}, fmt.Errorf("next hop %s: %w", u.Host, lookup)
		}
		ip = ips[0]
	}
	h.addr = netip.AddrPortFrom(ip.Unmap(), uint16(port)) //nolint:gosec // the parser bounds a port
	return h, nil
}

// viaHop is where a response with this topmost Via has to go (RFC 3261 18.2.2).
func viaHop(via *sip.ViaHeader) (hop, error) {
	host, port := via.Host, via.Port
	if port == 0 {
		port = 5060
	}
	if v, _ := via.Params.Get("received"); v != "" {
		host = v
	}
	if v, _ := via.Params.Get("rport"); v != "" {
		if n, err := strconv.Atoi(v); err == nil {
			port = n
		}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return hop{}, fmt.Errorf("via %s: %w", host, err)
	}
	return hop{
		tcp:  strings.EqualFold(via.Transport, "tcp"),
		addr: netip.AddrPortFrom(ip, uint16(port)), //nolint:gosec // the parser bounds a port
	}, nil
}

// dialog is one end of a dialog, as far as it is needed to make requests in it.
type dialog struct {
	callID            string
	local, remote     sip.Uri
	localTag, peerTag string
	target            sip.Uri // Contact of the other end
	routes            []sip.Uri
	cseq              uint32
}

// request makes the next request in a dialog, or the one that creates it.
func (d *dialog) request(method sip.RequestMethod) *sip.Request {
	d.cseq++
	req := sip.NewRequest(method, *d.target.Clone())
	for _, r := range d.routes {
		req.AppendHeader(&sip.RouteHeader{Address: *r.Clone()})
	}
	maxForwards := sip.MaxForwardsHeader(70)
	req.AppendHeader(&maxForwards)
	req.AppendHeader(&sip.FromHeader{Address: d.local, Params: sip.HeaderParams{{K: "tag", V: d.localTag}}})
	to := &sip.ToHeader{Address: d.remote, Params: sip.NewParams()}
	if d.peerTag != "" {
		to.Params.Add("tag", d.peerTag)
	}
	req.AppendHeader(to)
	callID := sip.CallIDHeader(d.callID)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: d.cseq, MethodName: method})
	return req
}

// nextHop is the first route, else the target.
func nextHop(ctx context.Context, req *sip.Request) (hop, error) {
	if r := req.Route(); r != nil {
		return hopOf(ctx, r.Address)
	}
	return hopOf(ctx, req.Recipient)
}

func recordRoutes(msg sip.Message) []sip.Uri {
	var routes []sip.Uri
	for _, h := range msg.GetHeaders("Record-Route") {
		if rr, ok := h.(*sip.RecordRouteHeader); ok {
			routes = append(routes, *rr.Address.Clone())
		}
	}
	return routes
}

func reversed(routes []sip.Uri) []sip.Uri {
	routes = slices.Clone(routes)
	slices.Reverse(routes)
	return routes
}

func tagOf(params sip.HeaderParams) string {
	tag, _ := params.Get("tag")
	return tag
}

func header(msg sip.Message, name string) string {
	if hs := msg.GetHeaders(name); len(hs) > 0 {
		return hs[0].Value()
	}
	return ""
}

// expires is the Expires header in seconds; -1 where there is none to read.
func expires(msg sip.Message) int {
	n, err := strconv.Atoi(strings.TrimSpace(header(msg, "Expires")))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func expiresHeader(seconds int) sip.Header {
	return sip.NewHeader("Expires", strconv.Itoa(seconds))
}

// contact is a Contact header of this endpoint.
func (e *endpoint) contact(user string, tcp bool) *sip.ContactHeader {
	return &sip.ContactHeader{Address: e.uri(user, tcp)}
}

func (e *endpoint) uri(user string, tcp bool) sip.Uri {
	u := sip.Uri{Scheme: "sip", User: user, Host: e.addr.Addr().String(), Port: int(e.addr.Port())}
	if tcp {
		u.UriParams = sip.HeaderParams{{K: "transport", V: "tcp"}}
	}
	return u
}

func newCallID() string { return sip.GenerateTagN(24) }
func newTag() string    { return sip.GenerateTagN(10) }

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
