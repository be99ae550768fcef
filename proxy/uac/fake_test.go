package uac

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// counter is a source of "random" bytes that a golden message can be made with.
type counter struct{ n byte }

func (c *counter) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.n
		c.n++
	}
	return len(p), nil
}

// sent is one request that left.
type sent struct {
	at   time.Duration
	hop  Hop
	text string
}

// peer is a scripted neighbour and the Sender that leads to it. answer gets each
// request and gives the responses, which arrive a little later.
type peer struct {
	t       *testing.T
	client  *Client
	start   time.Time
	answer  func(n int, s sent) []string
	hops    map[string][]Hop
	down    map[netip.AddrPort]bool
	udpDown bool // as with a firewall

	mu   sync.Mutex
	sent []sent
	wg   sync.WaitGroup
}

var (
	hopA = Hop{Hop: resolve.Hop{Transport: wire.UDP, Addr: netip.MustParseAddrPort("192.0.2.1:5060")}}
	hopB = Hop{Hop: resolve.Hop{Transport: wire.UDP, Addr: netip.MustParseAddrPort("192.0.2.2:5060")}}
	hopT = Hop{Hop: resolve.Hop{Transport: wire.TCP, Addr: netip.MustParseAddrPort("192.0.2.3:5060")}}
	hopS = Hop{Side: dialogs.Server, Hop: resolve.Hop{Transport: wire.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:5070")}}
)

func newPeer(t *testing.T, answer func(n int, s sent) []string, change ...func(*Config)) *peer {
	p := &peer{
		t: t, start: time.Now(), answer: answer, down: map[netip.AddrPort]bool{},
		hops: map[string][]Hop{
			"sip:core.ims.example":                     {hopA},
			"sip:two.ims.example":                      {hopA, hopB},
			"sip:scscf.ims.example:6060":               {hopA},
			"sip:scscf.ims.example:6060;transport=tcp": {hopT},
			"sip:pcscf.ims.example;lr":                 {hopA},
			"sip:alice@192.0.2.9:5062;transport=udp":   {hopB},
			"sip:127.0.0.1:5070":                       {hopS},
		},
	}
	cfg := Config{
		Sender: p, Identity: "sip:rewatch@10.0.0.1", Core: []string{"sip:core.ims.example"},
		Server: "sip:127.0.0.1:5070", Version: "1.0.0", Rand: &counter{},
	}
	for _, f := range change {
		f(&cfg)
	}
	p.client = New(cfg)
	return p
}

func (p *peer) Via(hop Hop) (string, string) {
	if hop.Side == dialogs.Server {
		return hop.Transport.Via(), "127.0.0.1:5062"
	}
	return hop.Transport.Via(), "10.0.0.1:5060"
}

func (p *peer) Resolve(_ context.Context, side dialogs.Side, uri string) ([]Hop, error) {
	hops, ok := p.hops[uri]
	if !ok {
		return nil, fmt.Errorf("no such host in %q", uri)
	}
	for _, h := range hops {
		if h.Side != side {
			p.t.Errorf("%s resolved for side %v", uri, side)
		}
	}
	return hops, nil
}

func (p *peer) Send(hop Hop, raw []byte) error {
	if p.down[hop.Addr] || p.udpDown && hop.Transport == wire.UDP {
		return errors.New("connection refused")
	}
	p.mu.Lock()
	s := sent{time.Since(p.start), hop, string(raw)}
	p.sent = append(p.sent, s)
	n := len(p.sent)
	p.mu.Unlock()
	p.wg.Go(func() {
		for _, res := range p.answer(n, s) {
			time.Sleep(10 * time.Millisecond)
			p.client.Receive([]byte(res))
		}
	})
	return nil
}

// done checks that nothing of a finished request is left.
func (p *peer) done() []sent {
	p.t.Helper()
	p.wg.Wait()
	p.client.mu.Lock()
	defer p.client.mu.Unlock()
	if n := len(p.client.open); n != 0 {
		p.t.Errorf("%d transactions left open", n)
	}
	return p.sent
}

// respond answers a request as a UAS would: Via, From, To, Call-ID and CSeq copied.
func respond(s sent, status string, more ...string) string {
	var b bytes.Buffer
	b.WriteString("SIP/2.0 " + status + "\r\n")
	for line := range strings.SplitSeq(s.text, "\r\n") {
		for _, name := range []string{"Via:", "From:", "To:", "Call-ID:", "CSeq:"} {
			if strings.HasPrefix(line, name) {
				b.WriteString(line + "\r\n")
			}
		}
	}
	for _, line := range more {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.String()
}

// always answers every request alike.
func always(status string, more ...string) func(int, sent) []string {
	return func(_ int, s sent) []string { return []string{respond(s, status, more...)} }
}

func never(int, sent) []string { return nil }

// header is the value of a header of a request, all values joined by "|".
func header(text, name string) string {
	var values []string
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if k, v, ok := strings.Cut(line, ": "); ok && k == name {
			values = append(values, v)
		}
	}
	return strings.Join(values, "|")
}

func bodyOf(text string) string {
	_, body, _ := strings.Cut(text, "\r\n\r\n")
	return body
}
