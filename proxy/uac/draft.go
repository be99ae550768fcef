package uac

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// draft is a request of ours before it is bound to a hop.
type draft struct {
	method sip.RequestMethod
	uri    string // Request-URI, sent in this spelling
	tag    string // of From, if it is ours
	cseq   uint32
	// headers are in the order in which they are sent, between Via and CSeq.
	headers []field
	// credentials answer a challenge: Authorization, Proxy-Authorization.
	credentials []field
	body        []byte
}

type field struct{ name, value string }

func (d *draft) add(name, value string) {
	d.headers = append(d.headers, field{name, value})
}

// target is a hop with the Route that leads to it; an empty route is sent without.
type target struct {
	hop   Hop
	route string
}

// rendered is a draft as it is sent to one hop.
type rendered struct {
	req    *sip.Request
	raw    []byte
	branch string
}

// render binds a draft to a hop: Via with a new branch, Route, CSeq.
func (c *Client) render(d *draft, t target) (rendered, error) {
	var uri sip.Uri
	if err := sip.ParseUri(d.uri, &uri); err != nil {
		return rendered{}, fmt.Errorf("request URI %q: %w", d.uri, err)
	}
	via := c.via(t.hop)
	req := sip.NewRequest(d.method, uri)
	req.SetTransport(via.Transport)
	req.AppendHeader(via)
	if t.route != "" {
		req.AppendHeader(sip.NewHeader("Route", t.route))
	}
	for _, h := range d.headers {
		req.AppendHeader(sip.NewHeader(h.name, h.value))
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: d.cseq, MethodName: d.method})
	for _, h := range d.credentials {
		req.AppendHeader(sip.NewHeader(h.name, h.value))
	}
	req.SetBody(d.body)
	branch, _ := via.Params.Get("branch")
	return rendered{req: req, raw: spell(req, d.uri), branch: branch}, nil
}

// spell writes a request with its Request-URI as it was given: sipgo reorders and requotes some
// URIs, but a remote target must not be changed.
func spell(req *sip.Request, uri string) []byte {
	_, rest, _ := strings.Cut(req.String(), "\r\n")
	return []byte(string(req.Method) + " " + uri + " SIP/2.0\r\n" + rest)
}

// via is our Via toward a hop. It asks for rport (RFC 3581), because the answer
// has to come back to the socket that we sent from.
func (c *Client) via(hop Hop) *sip.ViaHeader {
	transport, sentBy := c.cfg.Sender.Via(hop)
	host, port := splitSentBy(sentBy)
	params := sip.NewParams()
	params.Add("branch", c.ids.branch())
	params.Add("rport", "")
	return &sip.ViaHeader{
		ProtocolName:    "SIP",
		ProtocolVersion: "2.0",
		Transport:       strings.ToUpper(transport),
		Host:            host,
		Port:            port,
		Params:          params,
	}
}

func splitSentBy(sentBy string) (host string, port int) {
	if a, err := netip.ParseAddrPort(sentBy); err == nil {
		return a.Addr().String(), int(a.Port())
	}
	h, p, err := net.SplitHostPort(sentBy)
	if err != nil {
		return strings.Trim(sentBy, "[]"), 0
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		return h, 0
	}
	return h, n
}

// start begins a draft with the headers of every out-of-dialog request of ours.
func (c *Client) start(method sip.RequestMethod, uri, to string) *draft {
	d := &draft{method: method, uri: uri, tag: c.ids.tag(), cseq: 1}
	d.add("Max-Forwards", "70")
	d.add("From", "<"+c.cfg.Identity+">;tag="+d.tag)
	d.add("To", "<"+to+">")
	d.add("Call-ID", c.ids.callID())
	d.add("User-Agent", c.userAgent())
	return d
}

func (c *Client) userAgent() string {
	if c.cfg.Version == "" {
		return "rewatch"
	}
	return "rewatch/" + clean(c.cfg.Version)
}
