//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A dialog is what one end of a subscription knows of it.
type dialog struct {
	callID             string
	local, remote      string // From and To values of one's own requests, with tags
	target             string // remote target, the Request-URI
	route              []string
	event              string
	transport, nextHop string // where requests go if there is no route

	mu    sync.Mutex
	cseq  int
	ended bool
}

// next is the next CSeq.
func (d *dialog) next() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cseq++
	return d.cseq
}

// hop is where a request of the dialog is sent.
func (d *dialog) hop() (transport, addr string) {
	if len(d.route) == 0 {
		return d.transport, d.nextHop
	}
	if strings.EqualFold(param(strings.TrimSuffix(d.route[0], ">"), "transport"), "tcp") {
		return "tcp", hostport(d.route[0])
	}
	return "udp", hostport(d.route[0])
}

// lines are the header lines that every request of the dialog has.
func (d *dialog) lines(method string, cseq int) []string {
	var lines []string
	for _, r := range d.route {
		lines = append(lines, "Route: "+r)
	}
	return append(lines,
		"From: "+d.local, "To: "+d.remote, "Call-ID: "+d.callID,
		fmt.Sprintf("CSeq: %d %s", cseq, method), "Event: "+d.event)
}

// A wish is what a SUBSCRIBE asks for.
type wish struct {
	user, buddy string
	event       string // default presence
	expires     int    // -1: Expires: 0, a fetch; 0: 3600
	contact     string // default: where the peer listens
	params      string // of the Contact
	lines       []string
}

// subscribe sends an initial SUBSCRIBE by way of hop and returns the dialog and
// the final response. It may run beside the test, so it does not end it; without
// a response, the message is empty.
func (p *peer) subscribe(transport, hop string, w wish) (*dialog, *message) {
	p.t.Helper()
	if w.event == "" {
		w.event = "presence"
	}
	expires := w.expires
	switch expires {
	case 0:
		expires = 3600
	case -1:
		expires = 0
	}
	if w.contact == "" {
		w.contact = fmt.Sprintf("sip:%s@%s;transport=%s", w.user, p.addr, transport)
	}
	d := &dialog{
		callID: token("sub") + "@" + p.name,
		local:  fmt.Sprintf("<sip:%s@ims.example>;tag=%s", w.user, token("f")),
		event:  w.event, cseq: 1, transport: transport, nextHop: hop,
	}
	to := fmt.Sprintf("<sip:%s@ims.example>", w.buddy)
	lines := append([]string{
		"From: " + d.local, "To: " + to, "Call-ID: " + d.callID, "CSeq: 1 SUBSCRIBE",
		"Contact: <" + w.contact + ">" + w.params, "Event: " + w.event,
		"Accept: application/pidf+xml", "Expires: " + strconv.Itoa(expires),
	}, w.lines...)
	resp := p.do(transport, hop, p.request(transport, "SUBSCRIBE", "sip:"+w.buddy+"@ims.example", "", lines...), patience)
	if resp == nil {
		if !p.isClosed() {
			p.t.Errorf("%s: no final response to the SUBSCRIBE of %s", p.name, w.user)
		}
		return d, &message{}
	}
	d.remote = resp.get("to")
	d.target = uriOf(resp.get("contact"))
	d.route = resp.all("record-route")
	slices.Reverse(d.route)
	return d, resp
}

// again sends a SUBSCRIBE inside the dialog; expires 0 ends it.
func (p *peer) again(d *dialog, expires int, lines ...string) *message {
	p.t.Helper()
	transport, hop := d.hop()
	all := append(d.lines("SUBSCRIBE", d.next()), "Expires: "+strconv.Itoa(expires),
		fmt.Sprintf("Contact: <sip:%s@%s>", userOf(d.local), p.addr))
	resp := p.do(transport, hop, p.request(transport, "SUBSCRIBE", d.target, "", append(all, lines...)...), patience)
	if resp == nil {
		p.t.Fatalf("%s: no final response to the SUBSCRIBE in dialog %s", p.name, d.callID)
	}
	return resp
}

// A notifier is a scripted presence server. It accepts every subscription and
// sends a NOTIFY only when the test says so. It keeps a dialog whatever happens
// to its NOTIFYs.
type notifier struct {
	*peer
	mu      sync.Mutex
	dialogs map[string]*dialog
	refuse  atomic.Bool // de-REGISTERs get 500
	ignored func(*message) bool
}

// ignores sets what is not answered.
func (n *notifier) ignores(what func(*message) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ignored = what
}

// startNotifier starts the scripted presence server of the site.
func (s *site) startNotifier() *notifier {
	n := &notifier{dialogs: map[string]*dialog{}}
	n.peer = s.newPeer("server", 40, 5070, func(_ *peer, m *message) { n.serve(m) })
	s.open(n.peer)
	return n
}

func (n *notifier) serve(m *message) {
	n.mu.Lock()
	ignored := n.ignored
	n.mu.Unlock()
	if ignored != nil && ignored(m) {
		return
	}
	expires := m.get("expires")
	switch m.method {
	case "ACK":
	case "REGISTER":
		switch {
		case n.refuse.Load() && expires == "0":
			n.reply(m, 500, "Server Internal Error")
		case expires == "0":
			n.reply(m, 200, "OK", "Expires: 0")
		default:
			n.reply(m, 200, "OK", "Expires: "+expires, "Contact: "+m.get("contact"))
		}
	case "SUBSCRIBE":
		n.mu.Lock()
		d, known := n.dialogs[m.callID()]
		n.mu.Unlock()
		if !known && param(m.get("to"), "tag") != "" {
			n.reply(m, 481, "Subscription Does Not Exist")
			return
		}
		contact := "Contact: <sip:" + n.addr + ">"
		if known {
			d.mu.Lock()
			d.ended = expires == "0"
			d.mu.Unlock()
			n.reply(m, 200, "OK", contact, "Expires: "+expires)
			return
		}
		tag := token("n")
		d = &dialog{
			callID: m.callID(), local: m.get("to") + ";tag=" + tag, remote: m.get("from"),
			target: uriOf(m.get("contact")), route: m.all("record-route"),
			event: m.get("event"), transport: "udp", nextHop: m.source, cseq: 0,
		}
		n.mu.Lock()
		n.dialogs[m.callID()] = d
		n.mu.Unlock()
		r := strings.Replace(string(response(m, 200, "OK", contact, "Expires: "+expires)),
			"To: "+m.get("to")+";tag=", "To: "+m.get("to")+";tag="+tag+";was=", 1)
		n.respond(m, []byte(r))
	default:
		n.reply(m, 200, "OK")
	}
}

// dialog is the server's end of a subscription.
func (n *notifier) dialog(callID string) *dialog {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.dialogs[callID]
	if d == nil {
		n.t.Fatalf("server: no subscription %s", callID)
	}
	return d
}

// build makes the NOTIFY; state is the Subscription-State.
func (n *notifier) build(d *dialog, cseq int, state string) []byte {
	transport, _ := d.hop()
	body := `<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:bob@ims.example"/>`
	lines := append(d.lines("NOTIFY", cseq), "Subscription-State: "+state,
		"Contact: <sip:"+n.addr+">", "Content-Type: application/pidf+xml")
	return n.request(transport, "NOTIFY", d.target, body, lines...)
}

// notify sends a NOTIFY and waits for the final response; nil if none came.
func (n *notifier) notify(d *dialog, within time.Duration) *message {
	n.t.Helper()
	return n.notifyState(d, "active;expires=3599", within)
}

func (n *notifier) notifyState(d *dialog, state string, within time.Duration) *message {
	n.t.Helper()
	transport, hop := d.hop()
	return n.do(transport, hop, n.build(d, d.next(), state), within)
}

// An scscf is a scripted core: S-CSCF and the phones behind it in one. What it
// answers to the NOTIFYs and MESSAGEs of a user can be scripted; by default it
// says 200.
type scscf struct {
	*peer
	s  *site
	mu sync.Mutex
	on map[string]func(*message) // by method and user: "NOTIFY alice"
}

// startSCSCF starts the scripted core of the site.
func (s *site) startSCSCF() *scscf {
	c := &scscf{s: s, on: map[string]func(*message){}}
	c.peer = s.newPeer("core", 20, 5060, func(_ *peer, m *message) {
		c.mu.Lock()
		f := c.on[m.method+" "+userOf(m.get("to"))]
		c.mu.Unlock()
		switch {
		case f != nil:
			f(m)
		case m.method != "ACK":
			c.reply(m, 200, "OK")
		}
	})
	s.open(c.peer)
	return c
}

// script sets what is done with the requests of a method to a user; nil is the
// default again.
func (c *scscf) script(method, user string, f func(*message)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on[method+" "+user] = f
}

// answer scripts a response.
func (c *scscf) answer(method, user string, status int, reason string, extra ...string) {
	c.script(method, user, func(m *message) { c.reply(m, status, reason, extra...) })
}

// silence scripts that there is no response.
func (c *scscf) silence(method, user string) { c.script(method, user, func(*message) {}) }

// register sends the third-party REGISTER of a user and returns the response.
func (c *scscf) register(user string, expires int) *message {
	c.t.Helper()
	resp := c.do("udp", c.s.coreSide(), c.request("udp", "REGISTER", "sip:"+c.s.coreSide(), "",
		"From: <sip:scscf.ims.example>;tag="+token("r"),
		"To: <sip:"+user+"@ims.example>", "Call-ID: "+token("reg"), "CSeq: 1 REGISTER",
		"Contact: <sip:"+c.addr+";lr>", "Expires: "+strconv.Itoa(expires), "Event: registration",
		"P-Associated-URI: <sip:"+user+"@ims.example>"), patience)
	if resp == nil {
		c.t.Fatalf("core: no response to the third-party REGISTER of %s", user)
	}
	return resp
}

// subscribe passes the SUBSCRIBE of a user on, as an S-CSCF does it: with a
// Route to the application server, its own Record-Route, and the identity that
// it vouches for.
func (c *scscf) subscribe(w wish) (*dialog, *message) {
	c.t.Helper()
	return c.subscribeOver("udp", w)
}

func (c *scscf) subscribeOver(transport string, w wish) (*dialog, *message) {
	c.t.Helper()
	return c.subscribeAt(transport, c.s.coreSide(), w)
}

// subscribeAt does it at one of several addresses of rewatch.
func (c *scscf) subscribeAt(transport, at string, w wish) (*dialog, *message) {
	c.t.Helper()
	if w.contact == "" {
		w.contact = fmt.Sprintf("sip:%s@%s:5060", w.user, c.s.ip(50))
	}
	suffix := ""
	if transport == "tcp" {
		suffix = ";transport=tcp"
	}
	w.lines = append(w.lines,
		"Route: <sip:"+at+suffix+";lr>",
		"Record-Route: <sip:"+c.addr+suffix+";lr>",
		"P-Asserted-Identity: <sip:"+w.user+"@ims.example>")
	d, resp := c.peer.subscribe(transport, at, w)
	// The route set of the answer ends, for the core, at its own Record-Route.
	if n := len(d.route); n > 0 && hostport(d.route[0]) == c.addr {
		d.route = d.route[1:]
	}
	return d, resp
}

// established registers a user and subscribes it, and returns both ends.
func established(c *scscf, n *notifier, user, buddy string) (watcher, server *dialog) {
	c.t.Helper()
	if r := c.register(user, 3600); r.status != 200 {
		c.t.Fatalf("third-party REGISTER of %s: %v", user, r)
	}
	d, r := c.subscribe(wish{user: user, buddy: buddy})
	if r.status != 200 {
		c.t.Fatalf("SUBSCRIBE of %s: %v", user, r)
	}
	return d, n.dialog(d.callID)
}
