//go:build integration

package integration

import (
	"fmt"
	"strconv"
	"sync"
)

// A phone is a scripted user agent behind the real core. It answers NOTIFY and
// MESSAGE with 200, and subscribes anew upon a MESSAGE if it is told to.
type phone struct {
	*peer
	s    *site
	user string

	mu     sync.Mutex
	buddy  string // to subscribe to upon a MESSAGE
	refuse int    // status for NOTIFYs; 0: 200
	dead   bool   // it takes nothing
	params string // of its Contact
	cseq   int
	reg    string
	events chan *dialog
}

// startPhone starts the phone of a user at an address of the site.
func (s *site) startPhone(user string, last int) *phone {
	p := &phone{s: s, user: user, reg: token("reg"), events: make(chan *dialog, 64)}
	p.peer = s.newPeer(fmt.Sprintf("phone-%s-%d", user, last), last, 5060, func(_ *peer, m *message) { p.serve(m) })
	s.open(p.peer)
	return p
}

func (p *phone) serve(m *message) {
	p.mu.Lock()
	buddy, refuse, dead := p.buddy, p.refuse, p.dead
	p.mu.Unlock()
	if dead {
		return
	}
	switch m.method {
	case "ACK":
	case "NOTIFY":
		if refuse != 0 {
			p.reply(m, refuse, "Refused By The Phone")
			return
		}
		p.reply(m, 200, "OK", "Contact: <sip:"+p.user+"@"+p.addr+">")
	case "MESSAGE":
		p.reply(m, 200, "OK")
		if buddy != "" {
			p.work.Go(func() {
				d, _ := p.subscribe(buddy)
				p.events <- d
			})
		}
	default:
		p.reply(m, 200, "OK")
	}
}

// recoverBy makes the phone subscribe to buddy upon every MESSAGE.
func (p *phone) recoverBy(buddy string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buddy = buddy
}

// dies makes the phone take nothing any more, or lets it live again.
func (p *phone) dies(dead bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = dead
}

// refuses sets the status that the phone answers NOTIFYs with; 0 is 200.
func (p *phone) refuses(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = status
}

// register registers the phone at the core; expires 0 signs out.
func (p *phone) register(expires int) *message {
	p.t.Helper()
	p.mu.Lock()
	p.cseq++
	cseq := p.cseq
	p.mu.Unlock()
	aor := "<sip:" + p.user + "@ims.example>"
	r := p.do("udp", p.s.ip(20)+":5060", p.request("udp", "REGISTER", "sip:ims.example", "",
		"From: "+aor+";tag="+token("r"), "To: "+aor, "Call-ID: "+p.reg,
		fmt.Sprintf("CSeq: %d REGISTER", cseq),
		"Contact: <sip:"+p.user+"@"+p.addr+">"+p.params, "Expires: "+strconv.Itoa(expires)), patience)
	if r == nil || r.status != 200 {
		p.t.Fatalf("REGISTER of %s: %v", p.user, r)
	}
	return r
}

// subscribe subscribes through the core.
func (p *phone) subscribe(buddy string) (*dialog, *message) {
	p.t.Helper()
	return p.peer.subscribe("udp", p.s.ip(20)+":5060", wish{
		user: p.user, buddy: buddy, contact: "sip:" + p.user + "@" + p.addr, params: p.params,
	})
}

// subscribed subscribes and waits for the first NOTIFY.
func (p *phone) subscribed(buddy string) *dialog {
	p.t.Helper()
	d, r := p.subscribe(buddy)
	if r.status/100 != 2 {
		p.t.Fatalf("SUBSCRIBE of %s: %v", p.user, r)
	}
	p.notified(d)
	return d
}

// notified waits for the next NOTIFY of a dialog.
func (p *phone) notified(d *dialog) *message {
	p.t.Helper()
	return p.expect(patience, "NOTIFY in "+d.callID, func(m *message) bool {
		return m.method == "NOTIFY" && m.callID() == d.callID
	})
}
