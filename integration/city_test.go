//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A city is thousands of watchers behind the real core, and the presence server
// that tells them everything. The phones share two addresses, the server has one.
type city struct {
	t         *testing.T
	s         *site
	transport string
	// homes are the two addresses of phones.
	homes  [2]*exchanges
	server *exchanges

	mu     sync.Mutex
	people []*citizen
	byUser map[string]*citizen
	cursor int // of the load
	rate   float64
	// broken counts the subscriptions that the server gave up.
	broken int
}

// A citizen is one user with its phone, and what the server knows of it.
type citizen struct {
	user   string
	core   string // by which the phone goes
	home   int
	callID string // of the present dialog of the phone
	// A dead phone takes nothing; a numb one takes MESSAGEs only, and does not mind
	// them.
	dead, numb bool
	attempts   []string // what the MESSAGEs said
	shows      int      // CSeq of the newest NOTIFY that it has taken in its dialog
	server     *cityWatch
	more       []*cityWatch // its subscriptions to others
}

// cityWatch is the newest subscription of a citizen at the server.
type cityWatch struct {
	*dialog
	proven time.Time // when a NOTIFY got through last
	gone   bool
	ended  time.Time // when the server was told so
}

// startCity prepares so many watchers, who use one transport.
func (s *site) startCity(people int, transport string) *city {
	s.t.Helper()
	c := &city{t: s.t, s: s, transport: transport, byUser: make(map[string]*citizen, people)}
	for i := range people {
		p := &citizen{user: fmt.Sprintf("w%d", i), core: s.ip(20) + ":5060"}
		c.people, c.byUser[p.user] = append(c.people, p), p
	}
	for i := range c.homes {
		c.homes[i] = s.exchanging(fmt.Sprintf("home-%d", i), 50+i, 5060, c.phone)
	}
	c.server = s.exchanging("server", 40, 5070, c.presence)
	return c
}

// param is the parameter of URIs that names the transport.
func (c *city) param() string {
	if c.transport == "tcp" {
		return ";transport=tcp"
	}
	return ""
}

// all does something for everybody, so many a second, and waits until each is done.
// false: it failed.
func (c *city) all(what string, people []*citizen, perSecond int, do func(*citizen, func(ok bool))) {
	c.t.Helper()
	room := make(chan struct{}, 64)
	var done sync.WaitGroup
	var mu sync.Mutex
	failed, began := 0, time.Now()
	for i, p := range people {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
		room <- struct{}{}
		done.Add(1)
		do(p, func(ok bool) {
			if !ok {
				mu.Lock()
				failed++
				mu.Unlock()
			}
			<-room
			done.Done()
		})
	}
	done.Wait()
	if failed > 0 {
		c.t.Errorf("%s: %d of %d failed", what, failed, len(people))
	}
}

// at is the address of a phone.
func (c *city) at(p *citizen) *exchanges {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.homes[p.home]
}

// contact is its URI.
func (c *city) contact(p *citizen) string {
	return "sip:" + p.user + "@" + c.at(p).addr + c.param()
}

// instance tells that it is the same phone wherever it has moved (RFC 5626 4.1).
func (p *citizen) instance() string {
	return fmt.Sprintf(`;+sip.instance="<urn:uuid:%s>"`, p.user)
}

func (c *city) register(p *citizen, done func(ok bool)) {
	x, aor := c.at(p), "<sip:"+p.user+"@ims.example>"
	x.ask(c.transport, p.core, x.request(c.transport, "REGISTER", "sip:ims.example", "",
		"From: "+aor+";tag="+token("r"), "To: "+aor, "Call-ID: "+token("reg"), "CSeq: 1 REGISTER",
		"Contact: <"+c.contact(p)+">"+p.instance(), "Expires: 3600"), func(m *message) { done(m != nil && m.status == 200) })
}

// subscribe opens a new dialog of a phone.
func (c *city) subscribe(p *citizen, done func(ok bool)) {
	callID := token("sub")
	c.mu.Lock()
	p.callID, p.shows = callID, 0
	c.mu.Unlock()
	c.subscribeTo(p, "bob", callID, done)
}

func (c *city) subscribeTo(p *citizen, buddy, callID string, done func(ok bool)) {
	x := c.at(p)
	x.ask(c.transport, p.core, x.request(c.transport, "SUBSCRIBE", "sip:"+buddy+"@ims.example", "",
		"From: <sip:"+p.user+"@ims.example>;tag="+token("f"), "To: <sip:"+buddy+"@ims.example>", "Call-ID: "+callID,
		"CSeq: 1 SUBSCRIBE", "Contact: <"+c.contact(p)+">"+p.instance(), "Event: presence", "Expires: 3600"),
		func(m *message) { done(m != nil && m.status == 200) })
}

// phone answers what the core brings to a phone. Upon a MESSAGE it subscribes anew.
func (c *city) phone(at *peer, m *message) {
	c.mu.Lock()
	p := c.byUser[userOf(m.get("to"))]
	if p == nil || at != c.homes[p.home].peer {
		c.mu.Unlock()
		return // the phone has moved
	}
	if m.method == "MESSAGE" {
		p.attempts = append(p.attempts, lineOf(m.body, "Attempt: "))
	}
	if m.method == "NOTIFY" && p.callID == m.callID() && !p.dead && !p.numb {
		number, _, _ := strings.Cut(m.get("cseq"), " ")
		cseq, _ := strconv.Atoi(number)
		p.shows = max(p.shows, cseq)
	}
	dead, numb, mine := p.dead, p.numb, p.callID == m.callID() || strings.HasPrefix(m.callID(), "more")
	c.mu.Unlock()
	switch {
	case dead || numb && m.method == "NOTIFY":
	case m.method == "NOTIFY" && !mine:
		at.reply(m, 481, "Subscription Does Not Exist")
	case m.method == "MESSAGE":
		at.reply(m, 200, "OK")
		if !numb {
			c.subscribe(p, func(bool) {})
		}
	default:
		at.reply(m, 200, "OK", "Contact: <"+c.contact(p)+">")
	}
}

// lineOf is the rest of the line of a body that begins so.
func lineOf(body, start string) string {
	_, rest, _ := strings.Cut(body, start)
	line, _, _ := strings.Cut(rest, "\r\n")
	return line
}

// presence is the server: it accepts everything, and ends a subscription as RFC
// 6665 has it.
func (c *city) presence(at *peer, m *message) {
	switch m.method {
	case "ACK":
	case "SUBSCRIBE":
		c.accept(at, m)
	default:
		at.reply(m, 200, "OK", "Expires: "+m.get("expires"))
	}
}

func (c *city) accept(at *peer, m *message) {
	tag := token("n")
	d := &dialog{
		callID: m.callID(), local: m.get("to") + ";tag=" + tag, remote: m.get("from"),
		target: uriOf(m.get("contact")), route: m.all("record-route"), event: m.get("event"),
		transport: m.transport, nextHop: m.source,
	}
	w := &cityWatch{dialog: d}
	c.mu.Lock()
	p := c.byUser[userOf(d.remote)]
	if userOf(m.get("to")) == "bob" {
		p.server = w
	} else {
		p.more = append(p.more, w)
	}
	c.mu.Unlock()
	at.respond(m, []byte(strings.Replace(
		string(response(m, 200, "OK", "Contact: <sip:"+at.addr+c.param()+">", "Expires: "+m.get("expires"))),
		"To: "+m.get("to")+";tag=", "To: "+d.local+";was=", 1)))
	c.notify(w)
}

// notify sends a NOTIFY in a subscription.
func (c *city) notify(w *cityWatch) {
	transport, hop := w.hop()
	raw := c.server.request(transport, "NOTIFY", w.target, presenceBody, append(w.lines("NOTIFY", w.next()),
		"Subscription-State: active;expires=3599", "Contact: <sip:"+c.server.addr+c.param()+">",
		"Content-Type: application/pidf+xml")...)
	c.server.ask(transport, hop, raw, func(m *message) { c.notified(w, m) })
}

// presenceBody is the smallest presence document.
const presenceBody = `<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:bob@ims.example"/>`

func (c *city) notified(w *cityWatch, m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case m != nil && m.status < 300:
		w.proven = time.Now()
	case !w.gone:
		w.gone, w.ended = true, time.Now()
		c.broken++
	}
}

// load sends so many NOTIFYs a second to all in turn whose subscriptions live; 0
// sends none.
func (c *city) load(perSecond float64) {
	c.mu.Lock()
	running := c.rate > 0
	c.rate = perSecond
	c.mu.Unlock()
	if running || perSecond == 0 {
		return
	}
	c.server.work.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		began, sent := time.Now(), 0
		for now := range tick.C {
			c.mu.Lock()
			rate := c.rate
			c.mu.Unlock()
			if rate == 0 || c.server.isClosed() {
				return
			}
			for ; sent < int(now.Sub(began).Seconds()*rate); sent++ {
				if w := c.nextAlive(); w != nil {
					c.notify(w)
				}
			}
		}
	})
}

// nextAlive is the next in turn; nil if no subscription lives.
func (c *city) nextAlive() *cityWatch {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range c.people {
		c.cursor = (c.cursor + 1) % len(c.people)
		if w := c.people[c.cursor].server; w != nil && !w.gone {
			return w
		}
	}
	return nil
}

// working counts those who live at the server and got a NOTIFY since then, of all or
// of these.
func (c *city) working(since time.Time, people ...*citizen) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if people == nil {
		people = c.people
	}
	n := 0
	for _, p := range people {
		if w := p.server; w != nil && !w.gone && w.proven.After(since) && w.callID == p.callID {
			n++
		}
	}
	return n
}

// lost is how many subscriptions the server has given up so far.
func (c *city) lost() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// newest is the newest subscription of a citizen to bob.
func (c *city) newest(p *citizen) *cityWatch {
	c.mu.Lock()
	defer c.mu.Unlock()
	return p.server
}

func (c *city) isGone(w *cityWatch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return w.gone
}

// census says where those stand who are not recovered since then.
func (c *city) census(since time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := make(map[string]int)
	for _, p := range c.people {
		switch w := p.server; {
		case len(p.attempts) == 0:
			n["not told"]++
		case w == nil || w.callID != p.callID:
			n["told, the SUBSCRIBE has not arrived"]++
		case w.gone:
			n["subscribed, and the NOTIFY failed"]++
		case !w.proven.After(since):
			n["subscribed, and the NOTIFY is not answered"]++
		}
	}
	return fmt.Sprint(n)
}

// messages is how many MESSAGEs came to phones.
func (c *city) messages() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, p := range c.people {
		n += len(p.attempts)
	}
	return n
}

// told are the attempts that the MESSAGEs to a phone spoke of.
func (c *city) told(p *citizen) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(p.attempts)
}

// change changes something about people.
func (c *city) change(people []*citizen, how func(*citizen)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range people {
		how(p)
	}
}

// strikes are the users who have any, or whose recovery still runs.
func (c *city) strikes(r *rewatch) (users []string) {
	for _, p := range c.people {
		var w struct {
			Recovery *struct {
				Sent  int
				Phase string
			}
		}
		r.api("watchers/sip:"+p.user+"@ims.example", &w)
		if w.Recovery != nil && (w.Recovery.Sent != 0 || w.Recovery.Phase != "idle") {
			users = append(users, p.user)
		}
	}
	return users
}

// settle registers and subscribes everybody, and waits for the first NOTIFYs.
func (c *city) settle() {
	c.t.Helper()
	before := time.Now()
	c.all("REGISTER", c.people, 1000, c.register)
	c.all("SUBSCRIBE", c.people, 1000, c.subscribe)
	eventually(c.t, patient, strconv.Itoa(len(c.people))+" watchers are subscribed", func() bool {
		return c.working(before) == len(c.people)
	})
}
