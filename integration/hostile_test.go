//go:build integration

package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// hostileStage is a phone that means harm, among bystanders behind a core that passes on what it
// writes.
type hostileStage struct {
	*bystanders
	victim string // an address that nobody may be led to
	sent   int
	direct []net.Conn
}

// TestHostilePhone has one phone, behind a core that passes on what it writes, do its worst
// for a while: nothing is reached that the phone has named, and the bystanders are spared.
func TestHostilePhone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n, c := s.startNotifier(), s.startSCSCF()
	r := s.startRewatch(env{
		"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_DOMAINS": "ims.example", "REWATCH_NOTIFY_TIMEOUT": "3s",
		"REWATCH_REACH": s.ip(20) + "/32", "REWATCH_AUTH_USER": "rewatch", "REWATCH_AUTH_PASSWORD": "secret", "REWATCH_LOG_LEVEL": "info",
	})
	reached := s.forbidden(66, 6379)
	h := &hostileStage{bystanders: s.startBystanders(n, c, r), victim: s.ip(66) + ":6379"}
	h.during(len(hostileAnswers), h.attack)
	h.unharmed()
	if h.r.metric("rewatch_refused_total", `reason="reach"`) == 0 {
		h.Error("nothing was out of reach")
	}
	if h.c.count(to("MESSAGE", "mallory")) == 0 {
		h.Error("mallory is not counted")
	}
	t.Logf("%d messages of the phone", h.sent)
	select {
	case from := <-reached:
		t.Errorf("what the phone named was reached, from %s", from)
	default:
	}
	h.recovered()
}

// send has the core pass on what mallory wrote.
func (h *hostileStage) send(transport, start string, lines ...string) {
	h.Helper()
	h.sent++
	text := start + "\r\n" + strings.Join(lines, "\r\n") + "\r\n"
	if !strings.HasPrefix(start, "SIP/2.0 ") {
		text = start + "\r\nVia: SIP/2.0/" + strings.ToUpper(transport) + " " + h.c.addr + ";branch=" + token("z9hG4bKhostile") + "\r\n" +
			strings.Join(append(lines, "P-Asserted-Identity: <sip:mallory@ims.example>", "Max-Forwards: 70", "Content-Length: 0"), "\r\n") + "\r\n"
	}
	h.c.send(transport, h.c.s.coreSide(), []byte(text+"\r\n"))
}

// passOn has the core pass on what mallory wrote, and assert nothing, as in a REGISTER (RFC 3325 9.1).
func (h *hostileStage) passOn(start string, lines ...string) {
	h.Helper()
	h.sent++
	h.c.send("udp", h.c.s.coreSide(), []byte(start+"\r\nVia: SIP/2.0/UDP "+h.c.addr+";branch="+token("z9hG4bKhostile")+
		"\r\nVia: SIP/2.0/UDP 192.0.2.66;branch="+token("z9hG4bKmallory")+"\r\n"+strings.Join(lines, "\r\n")+"\r\nMax-Forwards: 69\r\nContent-Length: 0\r\n\r\n"))
}

// attack is one round of all that a phone can do.
func (h *hostileStage) attack(round int) {
	h.Helper()
	h.requests(round)
	h.poses(round)
	h.answers(round)
	h.connects()
}

// requests are those outside of dialogs.
func (h *hostileStage) requests(round int) {
	h.Helper()
	long, self := strings.Repeat("x", 8000), h.c.s.coreSide()
	for i, try := range [][]string{
		{"To: <sip:bob@ims.example>;tag=x", "Route: <sip:" + h.victim + ";transport=tcp;lr>"},
		{"To: <sip:bob@ims.example>;tag=x", strings.TrimSuffix(strings.Repeat("Route: <sip:"+self+";lr>\r\nX: y\r\n", 30), "\r\n")},
		{"To: <sip:bob@ims.example>", "Record-Route: <sip:" + h.victim + ";transport=tcp;lr>"},
		{"To: <sip:bob@ims.example>", "Route: <sip:" + self + ";lr>", "Via: SIP/2.0/UDP " + strings.Repeat("z9hG4bKr,", 2000) + "x"},
		{"To: <sip:bob@ims.example>", "Path: <sip:" + h.victim + ";lr>", "Service-Route: <sip:" + h.victim + ";lr>", "Content-Encoding: gzip"},
		{"To: <sip:bob@ims.example>;tag=" + long},
		{"To: <sip:bob@ims.example>", "Event: " + long},
		{"To: <sip:bob@ims.example>", "Event: invented." + token("e")},
		{"To: <sip:bob@ims.example>", "Replaces: " + h.honest[0].callID + ";to-tag=a;from-tag=b", "Join: " + h.honest[0].callID + ";to-tag=a;from-tag=b"},
		{"To: <sip:bob@ims.example>", "Contact: <sip:" + honestUser(0) + "@" + h.s.ip(50) + ":5060>;+sip.instance=\"<urn:uuid:of-honest>\""},
		{"To: <sip:bob@ims.example>", "Contact: <sip:" + h.victim + ";transport=tcp>", "Retry-After: 4294967296"},
		{"To: <sip:bob@ims.example>", "Event: presence" + strings.Repeat(";a=b", 1000), "Accept: " + strings.Repeat("a/b,", 1000) + "a/b"},
		{"To: <sip:bob@ims.example>", "Supported: " + strings.Repeat("x,", 2000) + "eventlist", "Require: " + strings.Repeat("y,", 100) + "gruu"},
		{"To: <sip:bob@ims.example>", "User-Agent: \x1b[31m{{.User}}\x07%s$(id)<script>", "Subject: \x1b[2J"},
		{"To: \"\x1b[2J\" <sip:{{.}}%0d%0aX:y@ims.example;a={{printf}}?Route=%3Csip:" + h.victim + "%3E>"},
		{"To: <sip:bob@ims.example>", "Contact: <sip:mallory@ims.example;gr=urn:uuid:of-honest>;pub-gruu=\"sip:" + honestUser(0) + "@ims.example;gr=x\""},
	} {
		for _, method := range []string{"SUBSCRIBE", "MESSAGE", "PUBLISH", "REGISTER", "REFER"} {
			h.send([]string{"udp", "tcp"}[(i+round)%2], method+" sip:x@"+h.victim+";transport=tcp SIP/2.0", append([]string{
				"From: <sip:mallory@ims.example>;tag=m", "Call-ID: " + token("hostile"), "CSeq: 1 " + method, "Event: presence", "Expires: 600",
				"Contact: <sip:mallory@" + h.c.addr + ">",
			}, try...)...)
		}
	}
	for i := range 40 { // of one Call-ID, with numbers beyond all bounds
		h.send("udp", "SUBSCRIBE sip:bob@ims.example SIP/2.0", fmt.Sprintf("From: <sip:mallory@ims.example>;tag=%d-%d", round, i), "To: <sip:bob@ims.example>",
			"Call-ID: one", fmt.Sprint("CSeq: ", []string{"4294967296", "4294967295", "99999999999999999999"}[i%3], " SUBSCRIBE"), "Event: presence",
			fmt.Sprint("Expires: ", []string{"4294967296", "18446744073709551616", "-1", "600"}[i%4]), "Contact: <sip:mallory@"+h.c.addr+">")
	}
}

// poses acts in the dialogs and in the names of the honest.
func (h *hostileStage) poses(round int) {
	h.Helper()
	i := round % manyHonest
	d, user := h.honest[i], honestUser(i)
	in := func(method, from, cseq string, lines ...string) {
		h.send("udp", method+" "+d.target+" SIP/2.0", append([]string{
			"From: " + from, "To: " + d.remote, "Call-ID: " + d.callID, "CSeq: " + cseq + " " + method, "Event: presence", "Contact: <sip:mallory@" + h.c.addr + ">",
		}, lines...)...)
	}
	asMallory := strings.Replace(d.local, user, "mallory", 1)
	for _, event := range []string{"presence", "presence;id=1", "PRESENCE", "presence.winfo"} { // the same Call-ID and tag, a dialog of its own
		h.send("udp", "SUBSCRIBE sip:bob@ims.example SIP/2.0", "From: "+d.local, "To: <sip:bob@ims.example>", "Call-ID: "+d.callID,
			fmt.Sprint("CSeq: ", round+2, " SUBSCRIBE"), "Event: "+event, "Expires: 600", "Contact: <sip:mallory@"+h.c.addr+">")
	}
	for _, odd := range []string{ // the same user, in other words
		"sips:" + user + "@ims.example", "sip:" + user + "@IMS.example:5060", "sip:%68onest" + user[6:] + "@ims.example;user=phone", "SIP:" + user + ":pw@ims.example.", "tel:" + user,
	} {
		h.send("udp", "SUBSCRIBE sip:bob@ims.example SIP/2.0", "From: <"+odd+">;tag="+token("odd"), "To: <sip:bob@ims.example>", "Call-ID: "+token("odd"),
			"CSeq: 1 SUBSCRIBE", "Event: presence", "Expires: 600", "Contact: <sip:mallory@"+h.c.addr+">")
		h.passOn("REGISTER sip:"+h.c.s.coreSide()+" SIP/2.0", "From: <"+odd+">;tag=x", "To: <"+odd+">", "Call-ID: "+token("odd"), "CSeq: 1 REGISTER", "Expires: 0", "Contact: *")
	}
	for _, expires := range []string{"0", "600"} {
		in("SUBSCRIBE", d.local, "99", "Expires: "+expires)
		in("SUBSCRIBE", asMallory, "99", "Expires: "+expires)
	}
	in("BYE", d.local, "100")
	in("NOTIFY", asMallory, "101", "Subscription-State: terminated;reason=deactivated")
	for _, from := range []string{"<sip:scscf.ims.example>;tag=x", "<sip:mallory@ims.example>;tag=x", "<sip:" + user + "@ims.example>;tag=x"} {
		for _, lines := range [][]string{
			{"Expires: 0", "Contact: *"},
			{"Expires: 0", "Contact: <sip:" + h.c.addr + ";lr>"},
			{"Expires: 600", "Contact: <sip:" + h.victim + ";transport=tcp;lr>"},
			{"Expires: 600", "Contact: <sip:x>", "P-Associated-URI: <sip:mallory@ims.example>, <sip:" + user + "@ims.example>"},
			{"Expires: 1", "Contact: <sip:x>"},
		} {
			lines = append([]string{"From: " + from, "To: <sip:" + user + "@ims.example>", "Call-ID: " + token("hostile"), "CSeq: 1 REGISTER"}, lines...)
			h.send("udp", "REGISTER sip:"+h.c.s.coreSide()+" SIP/2.0", lines...)
			h.passOn("REGISTER sip:"+h.c.s.coreSide()+" SIP/2.0", lines...)
		}
	}
	// the answers of another to a NOTIFY that it has not got: the branch is guessed
	for _, status := range []string{"200 OK", "481 Gone", "489 Bad Event"} {
		h.send("udp", "SIP/2.0 "+status, "Via: SIP/2.0/UDP "+h.c.s.coreSide()+";branch="+token("z9hG4bK-guessed"),
			"From: "+d.remote, "To: "+d.local, "Call-ID: "+d.callID, fmt.Sprintf("CSeq: %d NOTIFY", round+2), "Content-Length: 0")
	}
}

// hostileAnswers are what mallory answers to a NOTIFY, a MESSAGE and, by a core that lets it,
// to its de-REGISTER.
var hostileAnswers = []struct {
	status int
	lines  []string
}{
	{200, []string{"Content-Length: 0"}},
	{480, []string{strings.TrimSuffix(strings.Repeat("X: y\r\n", 1100), "\r\n")}},
	{302, []string{"Contact: <sip:VICTIM;transport=tcp>"}},
	{401, []string{`WWW-Authenticate: Digest realm="ims.example", nonce="n", algorithm=MD5`}},
	{407, []string{`Proxy-Authenticate: Digest realm="` + strings.Repeat("x", 8000) + `", nonce="n", algorithm=MD5, stale=true`}},
	{200, []string{"Contact: <sip:honest0@ims.example>;expires=600, <sip:honest1@ims.example>;expires=600", "Expires: 600"}},
	{482, nil},
	{502, []string{"Retry-After: 4294967296"}},
	{503, []string{"Retry-After: 0"}},
	{481, []string{"Record-Route: <sip:VICTIM;transport=tcp;lr>", "To: <sip:honest0@ims.example>;tag=x"}},
	{200, []string{"Record-Route: <sip:VICTIM;transport=tcp;lr>", "Contact: <sip:VICTIM;transport=tcp>", "To: <sip:honest0@ims.example>;tag=x", "Via: SIP/2.0/UDP VICTIM;branch=z9hG4bKx"}},
	{200, []string{"CSeq: 4294967295 NOTIFY", "Expires: 4294967295", "Min-Expires: 4294967295", "Call-ID: one"}},
	{180, []string{"Contact: <sip:VICTIM;transport=tcp>"}},
	{100, []string{"Retry-After: 9223372036854775808"}},
	{301, []string{"Contact: <sip:127.0.0.1:5070;transport=tcp>, <sip:VICTIM>;q=1;expires=4294967295", "Expires: -1"}},
	{423, []string{"Min-Expires: 4294967295", "Expires: -1"}},
	{480, []string{"Retry-After: 9223372036854775808", "Warning: 399 x \"" + strings.Repeat("w", 20_000) + "\""}},
	{500, []string{"Retry-After: -1", "Reason: SIP;cause=200;text=\"\x1b[2J{{.}}%n\""}},
	{699, []string{"Retry-After: 1 (\x1b]0;x\a);duration=4294967295"}},
	{305, []string{"Contact: *"}},
}

// answers subscribes mallory anew, once with a way back of its own, and has it answer the
// NOTIFYs there as it should not.
func (h *hostileStage) answers(round int) {
	h.Helper()
	a := hostileAnswers[round%len(hostileAnswers)]
	lines := strings.Split(strings.ReplaceAll(strings.Join(a.lines, "\n"), "VICTIM", h.victim), "\n")
	for _, method := range []string{"NOTIFY", "MESSAGE", "REGISTER"} {
		h.c.script(method, "mallory", func(m *message) { h.c.respond(m, response(m, a.status, "Mine", lines...)) })
	}
	h.c.register("mallory", 600)
	for _, own := range [][]string{nil, {"Record-Route: <sip:" + h.victim + ";transport=tcp;lr>"}} {
		d, resp := h.c.subscribeOver("tcp", wish{user: "mallory", buddy: "bob", lines: own})
		if resp.status != 200 {
			h.Fatalf("round %d: SUBSCRIBE of mallory: %v", round, resp)
		}
		server := h.n.dialog(d.callID)
		if own != nil { // it stands below what the core has added
			server.route = append(server.route[:len(server.route)-1], "<sip:"+h.victim+";transport=tcp;lr>")
		}
		transport, hop := server.hop()
		h.n.send(transport, hop, h.n.build(server, server.next(), "active;expires=599"))
	}
}

// connects leaves connections half used.
func (h *hostileStage) connects() {
	h.Helper()
	for i := range 10 {
		conn, err := net.Dial("tcp", h.c.s.coreSide())
		if err != nil {
			h.Fatal(err)
		}
		h.Cleanup(func() { _ = conn.Close() })
		h.direct = append(h.direct, conn)
		_, _ = conn.Write([]byte([]string{"", "\r", "SUBSCRIBE sip:bob@ims.exa", "SIP/2.0 200 OK\r\nContent-Length: 99999\r\n\r\n", "\x16\x03\x01"}[i%5]))
	}
	for _, conn := range h.direct { // a byte at a time
		_, _ = conn.Write([]byte("x"))
	}
}
