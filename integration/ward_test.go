//go:build integration

package integration

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A ward is a site with users whose subscriptions break all the time, many of them at
// once, and with scripted neighbours that outlive rewatch: an S-CSCF with the phones
// behind it, and a presence server. They note what they saw; see ledger_test.go.
//
// The first NOTIFY of every dialog gets through, the second one fails. Half of the
// users go the 20 steps of the reference flow, some times over; the others take no
// notice of their MESSAGEs until they are given up, and some of those sign in again.
type ward struct {
	t            *testing.T
	s            *site
	core, server *exchanges
	hook         *webhook
	// seen is told of whatever may be a good moment for a kill.
	seen chan struct{}

	mu         sync.Mutex
	casualties map[string]*casualty
	admitted   []*casualty
	closed     bool // nobody else comes in
	unjudged   int  // NOTIFYs that no rewatch lived long enough to judge
}

// A casualty is one of these users.
type casualty struct {
	user string
	// stubborn: it takes no notice of MESSAGEs. silent: its NOTIFYs fail for want of
	// an answer, and not by a 480. returns: it signs in again when it is signed out.
	stubborn, silent, returns bool
	relapses                  int    // how often its subscriptions are to fail yet
	callID                    string // of the newest dialog of its phone
	busy                      bool   // its phone is just subscribing
	over                      bool   // its story has come to its end
	admitted                  time.Time
	ledger
}

// A wardDialog is a subscription at the server.
type wardDialog struct {
	*dialog
	p *casualty
}

const (
	// bedsOf is how many are on their way at once; some, if the story of others has
	// come to no end, in which case they are not waited for longer than this.
	beds    = 48
	stories = 20 * time.Second
)

func (s *site) startWard() *ward {
	w := &ward{t: s.t, s: s, hook: s.startWebhook(), seen: make(chan struct{}, 1), casualties: make(map[string]*casualty)}
	w.core = s.exchanging("core", 20, 5060, w.scscf)
	var mu sync.Mutex
	dialogs := make(map[string]*wardDialog)
	w.server = s.exchanging("server", 40, 5070, func(at *peer, m *message) {
		mu.Lock()
		defer mu.Unlock()
		w.presence(dialogs, at, m)
	})
	w.core.work.Go(w.admit)
	return w
}

// interesting tells of a moment.
func (w *ward) interesting() {
	select {
	case w.seen <- struct{}{}:
	default:
	}
}

// admit fills the beds.
func (w *ward) admit() {
	for n := 0; !w.core.isClosed(); n++ {
		for w.full() && !w.core.isClosed() {
			time.Sleep(20 * time.Millisecond)
		}
		p := &casualty{
			user: fmt.Sprintf("p%d", n), stubborn: n%2 == 0, silent: n%6 < 2, returns: n%4 == 0,
			relapses: 1 + n%3/2, admitted: time.Now(),
		}
		if p.stubborn {
			p.relapses = 1
		}
		w.mu.Lock()
		if w.closed {
			w.mu.Unlock()
			return
		}
		w.casualties[p.user] = p
		w.admitted = append(w.admitted, p)
		w.mu.Unlock()
		w.register(p, 3600, func() { w.subscribe(p) })
	}
}

func (w *ward) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, p := range w.admitted {
		if !p.over && time.Since(p.admitted) < stories {
			n++
		}
	}
	return n >= beds && !w.closed
}

// register sends the third-party REGISTER of a user.
func (w *ward) register(p *casualty, expires int, then func()) {
	raw := w.core.request("udp", "REGISTER", "sip:"+w.s.coreSide(), "",
		"From: <sip:scscf.ims.example>;tag="+token("r"), "To: <sip:"+p.user+"@ims.example>",
		"Call-ID: "+token("reg"), "CSeq: 1 REGISTER", "Contact: <sip:"+w.core.addr+";lr>",
		"Expires: "+strconv.Itoa(expires))
	w.core.ask("udp", w.s.coreSide(), raw, func(m *message) {
		if m == nil || m.status != 200 {
			w.t.Errorf("%s: third-party REGISTER: %v", p.user, m)
			return
		}
		if expires > 0 {
			w.note(func() { p.registered = append(p.registered, m.at) })
		}
		then()
	})
}

// subscribe opens a new dialog of its phone.
func (w *ward) subscribe(p *casualty) {
	callID := token("sub")
	w.note(func() { p.callID, p.busy = callID, true })
	raw := w.core.request("udp", "SUBSCRIBE", "sip:bob@ims.example", "",
		"From: <sip:"+p.user+"@ims.example>;tag="+token("f"), "To: <sip:bob@ims.example>", "Call-ID: "+callID,
		"CSeq: 1 SUBSCRIBE", "Contact: <sip:"+p.user+"@"+w.s.ip(50)+":5060>", "Event: presence", "Expires: 3600",
		"Route: <sip:"+w.s.coreSide()+";lr>", "Record-Route: <sip:"+w.core.addr+";lr>",
		"P-Asserted-Identity: <sip:"+p.user+"@ims.example>")
	w.core.ask("udp", w.s.coreSide(), raw, func(m *message) {
		if m == nil || m.status != 200 {
			w.t.Errorf("%s: SUBSCRIBE: %v", p.user, m)
			return
		}
		w.note(func() {
			p.busy = false
			p.accepted = append(p.accepted, moment{callID, m.at})
		})
	})
}

// note changes what is known of somebody.
func (w *ward) note(how func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	how()
}

// scscf answers what rewatch sends to the core.
func (w *ward) scscf(at *peer, m *message) {
	w.mu.Lock()
	p := w.casualties[userOf(m.get("to"))]
	w.mu.Unlock()
	switch {
	case m.method == "NOTIFY" && p != nil && m.cseq() > 1:
		if !p.silent {
			at.reply(m, 480, "Temporarily Unavailable")
		}
	case m.method == "MESSAGE" && p != nil:
		at.reply(m, 200, "OK")
		w.told(p, m)
	case m.method == "REGISTER" && p != nil:
		at.reply(m, 200, "OK")
		w.signedOut(p, m)
	case m.method != "ACK":
		at.reply(m, 200, "OK")
	}
}

var callIDLine = regexp.MustCompile(`(?m)^Call-ID: (\S+)`)

// told is a MESSAGE that arrived. Who is not stubborn subscribes anew.
func (w *ward) told(p *casualty, m *message) {
	at := notice{moment: moment{at: m.at}}
	at.attempt, _ = strconv.Atoi(strings.Split(lineOf(m.body, "Attempt: ")+" ", " ")[0])
	for _, found := range callIDLine.FindAllStringSubmatch(m.body, -1) {
		at.broken = append(at.broken, found[1])
	}
	w.mu.Lock()
	p.messages = append(p.messages, at)
	again := !p.stubborn && !p.busy && strings.Contains(strings.Join(at.broken, " "), p.callID)
	w.mu.Unlock()
	w.interesting()
	if again {
		w.subscribe(p)
	}
}

// signedOut is a de-REGISTER that arrived at the core. It tells of it by a third-party
// REGISTER, as an S-CSCF does.
func (w *ward) signedOut(p *casualty, m *message) {
	w.note(func() { p.signOuts = append(p.signOuts, m.at) })
	w.interesting()
	w.register(p, 0, func() {
		if !p.returns {
			w.note(func() { p.over = true })
			return
		}
		w.register(p, 3600, func() { w.subscribe(p) })
	})
}

// presence answers what rewatch sends to the server.
func (w *ward) presence(dialogs map[string]*wardDialog, at *peer, m *message) {
	w.mu.Lock()
	p := w.casualties[userOf(m.get("from"))]
	w.mu.Unlock()
	switch {
	case m.method == "SUBSCRIBE" && p != nil:
		d := dialogs[m.callID()]
		fresh := d == nil
		if fresh {
			d = &wardDialog{p: p, dialog: &dialog{
				callID: m.callID(), local: m.get("to") + ";tag=" + token("n"), remote: m.get("from"),
				target: uriOf(m.get("contact")), route: m.all("record-route"), event: m.get("event"),
				transport: "udp", nextHop: m.source,
			}}
			dialogs[m.callID()] = d
		}
		at.respond(m, []byte(strings.Replace(
			string(response(m, 200, "OK", "Contact: <sip:"+at.addr+">", "Expires: "+m.get("expires"))),
			"To: "+m.get("to")+";tag=", "To: "+d.local+";was=", 1)))
		if fresh {
			w.notify(d)
		}
	case m.method == "REGISTER" && m.get("expires") == "0" && !strings.Contains(m.get("from"), "scscf"):
		w.mu.Lock()
		defer w.mu.Unlock()
		if p := w.casualties[userOf(m.get("to"))]; p != nil {
			p.serverTold++
		}
		at.reply(m, 200, "OK", "Expires: 0")
	case m.method != "ACK":
		at.reply(m, 200, "OK", "Expires: "+m.get("expires"))
	}
}

// notify sends the next NOTIFY of a dialog.
func (w *ward) notify(d *wardDialog) {
	cseq := d.next()
	transport, hop := d.hop()
	raw := w.server.request(transport, "NOTIFY", d.target, presenceBody, append(d.lines("NOTIFY", cseq),
		"Subscription-State: active;expires=3599", "Contact: <sip:"+w.server.addr+">", "Content-Type: application/pidf+xml")...)
	w.server.ask(transport, hop, raw, func(m *message) {
		switch {
		case m == nil && cseq > 1:
			// Each time when it was repeated rewatch was not there, or was killed before
			// the response or the deadline, and the server's own timer has ended the
			// subscription. There are few of them; see judge.
			w.note(func() { w.unjudged, d.p.over = w.unjudged+1, true })
		case m == nil:
			w.t.Errorf("%s: no answer to the NOTIFY %d in %s", d.p.user, cseq, d.callID)
		case cseq == 1 && m.status == 200:
			w.passed(d)
		case m.status == 481: // to the first one where the machine was too busy for its answer
			w.note(func() { d.p.failures = append(d.p.failures, moment{d.callID, m.at}) })
			w.interesting()
		default:
			w.t.Errorf("%s: the NOTIFY %d in %s is answered %v", d.p.user, cseq, d.callID, m)
		}
	})
}

// passed is the first NOTIFY of a dialog that has got through.
func (w *ward) passed(d *wardDialog) {
	w.mu.Lock()
	p := d.p
	p.proven = append(p.proven, moment{d.callID, time.Now()})
	relapse := p.relapses > 0
	p.relapses--
	p.over = p.over || !relapse
	n := len(w.admitted)
	w.mu.Unlock()
	if relapse {
		time.AfterFunc(time.Duration(100+n*37%300)*time.Millisecond, func() { w.notify(d) })
	}
}
