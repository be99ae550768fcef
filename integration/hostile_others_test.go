//go:build integration

package integration

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// An attacker does its worst among bystanders.
type attacker interface {
	// settings is called before rewatch starts.
	settings(s *site) env
	// attack does its worst once, judge says what came of it.
	attack(b *bystanders, round int)
	judge(b *bystanders)
}

// TestHostileOthers has everybody do their worst who is more than one phone behind the core: a
// server, a sink, a reader, a neighbour, and several phones together.
func TestHostileOthers(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]attacker{
		"phones that ask for the password":       new(harvesters),
		"a server that ignores OPTIONS":          new(muteServer),
		"who fills the memory":                   new(hoarder),
		"readers of the admin port":              new(readers),
		"sinks that redirect, refuse and hang":   new(badSinks),
		"a neighbour with another's certificate": new(masks),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			settings := env{
				"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_DOMAINS": "ims.example", "REWATCH_NOTIFY_TIMEOUT": "3s",
				"REWATCH_LOG_LEVEL": "info",
			}
			maps.Copy(settings, a.settings(s))
			n, c := s.startNotifier(), s.startSCSCF()
			b := s.startBystanders(n, c, s.startRewatch(settings))
			b.during(3, func(round int) { a.attack(b, round) })
			a.judge(b)
			b.unharmed()
			b.recovered()
		})
	}
}

// fails has the NOTIFY of a user refused who is none of the bystanders.
func (b *bystanders) fails(user string) {
	b.Helper()
	b.c.register(user, 600)
	d, resp := b.c.subscribe(wish{user: user, buddy: "bob"})
	if resp.status != 200 {
		b.Fatalf("SUBSCRIBE of %s: %v", user, resp)
	}
	b.c.answer("NOTIFY", user, 480, "Gone")
	b.n.notify(b.n.dialog(d.callID), patience)
}

// malloryOf is one of five users, too few for that their failures could look like an outage.
func malloryOf(round int) string { return fmt.Sprint("mallory", round%5) }

// harvesters are phones that challenge each MESSAGE, and want a digest of the password upon a
// nonce of their choice.
type harvesters struct{}

func (*harvesters) settings(*site) env {
	return env{"REWATCH_AUTH_USER": "rewatch", "REWATCH_AUTH_PASSWORD": "secret", "REWATCH_SIGNAL": "message,notify"}
}

func (*harvesters) attack(b *bystanders, round int) {
	user, status, header := malloryOf(round), 401, "WWW-Authenticate"
	if round%2 == 0 {
		status, header = 407, "Proxy-Authenticate"
	}
	challenge := header + `: Digest realm="ims.example", nonce="mine", algorithm=MD5, qop="auth"` + []string{"", ", stale=true"}[round%3/2]
	b.c.answer("MESSAGE", user, status, "Who", challenge)
	b.c.script("NOTIFY", user, func(m *message) {
		if strings.HasPrefix(m.get("subscription-state"), "terminated") { // rewatch's own
			b.c.reply(m, status, "Who", challenge)
			return
		}
		b.c.reply(m, 480, "Gone")
	})
	b.c.register(user, 600)
	d, resp := b.c.subscribe(wish{user: user, buddy: "bob"})
	if resp.status != 200 {
		b.Fatalf("SUBSCRIBE of %s: %v", user, resp)
	}
	b.n.notify(b.n.dialog(d.callID), patience)
}

func (*harvesters) judge(b *bystanders) {
	for i := range 3 {
		b.c.expect(patience, "a MESSAGE to a phone that asks for the password", to("MESSAGE", malloryOf(i)))
	}
	for _, m := range b.c.all(func(m *message) bool { return m.get("authorization")+m.get("proxy-authorization") != "" }) {
		b.Errorf("a phone has got a digest:\n%s", m.raw)
	}
}

// muteServer answers no OPTIONS, and not what a phone sends to nobody.
type muteServer struct{}

func (*muteServer) settings(*site) env { return nil }

func (*muteServer) attack(b *bystanders, _ int) {
	b.n.ignores(func(m *message) bool { return m.method == "OPTIONS" || userOf(m.get("to")) == "nobody" })
	toNobody(b)
	b.n.expect(patience, "an OPTIONS upon silence", func(m *message) bool { return m.method == "OPTIONS" })
}

func toNobody(b *bystanders) {
	b.c.send("udp", b.s.coreSide(), b.c.request("udp", "MESSAGE", "sip:nobody@ims.example", "",
		"From: <sip:mallory@ims.example>;tag=m", "To: <sip:nobody@ims.example>", "Call-ID: "+token("m"), "CSeq: 1 MESSAGE", "P-Asserted-Identity: <sip:mallory@ims.example>"))
}

// judge has the server say nothing at all until it is down. Then it is there again, and ignores
// OPTIONS as before: one of the next requests is a trial, and its answer proves the server.
func (*muteServer) judge(b *bystanders) {
	b.n.ignores(func(*message) bool { return true })
	toNobody(b)
	eventually(b.T, 3*patience, "the silent server is down", func() bool { status, _ := b.r.get("/readyz"); return status == 503 })
	b.n.ignores(func(m *message) bool { return m.method == "OPTIONS" })
	tries := 0
	eventually(b.T, patience, "a trial", func() bool { tries++; return b.c.register(honestUser(1), 3600).status == 200 })
	if tries > 11 {
		b.Errorf("%d requests until one was tried", tries)
	}
	eventually(b.T, patience, "the server is up", func() bool { status, _ := b.r.get("/readyz"); return status == 200 })
}
