package uac

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"rewatch/dialogs"
	"rewatch/policy"
)

var alice = dialogs.MessageJob{
	AOR: "sip:alice@ims.example", Route: "sip:scscf.ims.example:6060", Attempt: 1, Of: 3,
	Broken: []policy.Broken{{
		Event: "presence", Resource: "sip:bob@ims.example",
		CallID: "3848276298220188511@server", Cause: "408 Request Timeout",
	}},
}

const goldenBody = "Subscription lost; please subscribe again.\r\n" +
	"Event: presence\r\n" +
	"Resource: sip:bob@ims.example\r\n" +
	"Call-ID: 3848276298220188511@server\r\n" +
	"Cause: 408 Request Timeout\r\n" +
	"Attempt: 1 of 3\r\n"

const goldenHead = "MESSAGE sip:alice@ims.example SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-rewatch-ua-BRANCH;rport\r\n" +
	"Route: <sip:scscf.ims.example:6060;lr>\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: <sip:rewatch@10.0.0.1>;tag=000102030405\r\n" +
	"To: <sip:alice@ims.example>\r\n" +
	"Call-ID: 060708090a0b0c0d0e0f101112131415\r\n" +
	"User-Agent: rewatch/1.0.0\r\n" +
	"P-Asserted-Identity: <sip:rewatch@10.0.0.1>\r\n" +
	"P-Charging-Vector: icid-value=\"161718191a1b1c1d1e1f202122232425\";icid-generated-at=10.0.0.1;orig-ioi=10.0.0.1\r\n" +
	"Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n" +
	"Expires: 60\r\n" +
	"Content-Type: text/plain;charset=utf-8\r\n" +
	"CSeq: 1 MESSAGE\r\n" +
	"Content-Length: 174\r\n\r\n"

// ungolden blots out the branch, which is drawn once more to measure the message.
func ungolden(text string) string {
	before, after, ok := strings.Cut(text, BranchPrefix)
	if !ok {
		return text
	}
	return before + BranchPrefix + "BRANCH" + after[strings.IndexByte(after, ';'):]
}

func TestMessageGolden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("200 OK"))
		if r := p.client.Message(context.Background(), alice); !r.OK() || r.Status != 200 {
			t.Fatalf("result %+v", r)
		}
		s := p.done()
		if len(s) != 1 || s[0].hop != hopA {
			t.Fatalf("sent %v", s)
		}
		if got, want := ungolden(s[0].text), goldenHead+goldenBody; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestMessageRoute(t *testing.T) {
	tests := []struct {
		name, route, want string
		hop               Hop
	}{
		{"none", "", "<sip:core.ims.example;lr>", hopA},
		{"with lr", "sip:pcscf.ims.example;lr", "<sip:pcscf.ims.example;lr>", hopA},
		{"in brackets", "<sip:scscf.ims.example:6060>", "<sip:scscf.ims.example:6060;lr>", hopA},
		{"known to the core only", "sip:hidden.example", "<sip:core.ims.example;lr>, <sip:hidden.example;lr>", hopA},
		{"tcp", "sip:scscf.ims.example:6060;transport=tcp", "<sip:scscf.ims.example:6060;transport=tcp;lr>", hopT},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t, always("202 Accepted"))
				m := alice
				m.Route = tt.route
				if r := p.client.Message(context.Background(), m); !r.OK() {
					t.Fatalf("result %+v", r)
				}
				s := p.done()
				if got := header(s[0].text, "Route"); got != tt.want || s[0].hop != tt.hop {
					t.Errorf("Route %s to %v", got, s[0].hop)
				}
			})
		})
	}
}

func TestMessageStaysSmall(t *testing.T) {
	m := alice
	for i := range 60 {
		m.Broken = append(m.Broken, policy.Broken{
			Event: "presence", Resource: fmt.Sprintf("sip:friend%d@ims.example", i),
			CallID: strings.Repeat("c", 40), Cause: "408 Request Timeout",
		})
	}
	m.More = 10
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("200 OK"))
		p.client.Message(context.Background(), m)
		text := p.done()[0].text
		if len(text) >= 1300 || len(text) < 1100 {
			t.Errorf("%d bytes", len(text))
		}
		body := bodyOf(text)
		named := strings.Count(body, "Event: ")
		if want := fmt.Sprintf("Attempt: 1 of 3\r\nAnd: %d more\r\n", 71-named); !strings.HasSuffix(body, want) {
			t.Errorf("body ends %q, want %q", body[len(body)-60:], want)
		}
		if !strings.Contains(body, "Cause: 408 Request Timeout\r\n\r\nEvent: presence\r\n") {
			t.Errorf("blocks are not separated by an empty line:\n%s", body)
		}
		if got := header(text, "Content-Length"); got != fmt.Sprint(len(body)) {
			t.Errorf("Content-Length %s of %d", got, len(body))
		}
	})
}

// A value from the network must not add a header or a line.
func TestMessageValuesAreSanitised(t *testing.T) {
	m := alice
	m.Broken = []policy.Broken{{
		Event: "presence\r\nEvent: evil", Resource: "sip:b\x00ob@ims.example",
		CallID: strings.Repeat("x", 2000), Cause: "500 \xff\n\nAttempt: 9 of 9",
	}}
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("200 OK"))
		p.client.Message(context.Background(), m)
		body := bodyOf(p.done()[0].text)
		if n := strings.Count(body, "\r\n"); n != 6 {
			t.Errorf("%d lines:\n%s", n, body)
		}
		for _, bad := range []string{"\nEvent: evil", "\nAttempt: 9", "\x00", "\xff", strings.Repeat("x", 300)} {
			if strings.Contains(body, bad) {
				t.Errorf("body contains %q:\n%s", bad, body)
			}
		}
	})
	for _, aor := range []string{"", "alice", "sip:alice@a\r\nX: y", "sip:<a>@b", "sip:a b@c"} {
		p := newPeer(t, never)
		m.AOR = aor
		if r := p.client.Message(context.Background(), m); r.Err == nil || len(p.sent) != 0 {
			t.Errorf("AOR %q: %+v, sent %d", aor, r, len(p.sent))
		}
	}
}

func TestMessageTelURI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("200 OK"))
		m := alice
		m.AOR = "tel:+49-30-1234"
		p.client.Message(context.Background(), m)
		text := p.done()[0].text
		if !strings.HasPrefix(text, "MESSAGE tel:+49-30-1234 SIP/2.0\r\n") || header(text, "To") != "<tel:+49-30-1234>" {
			t.Errorf("got\n%s", text)
		}
	})
}

func TestMessageTemplate(t *testing.T) {
	tmpl, err := ParseTemplate("<lost aor=\"{{.AOR}}\" more=\"{{.More}}\">{{range .Broken}}<s>{{.CallID}}</s>{{end}}</lost>")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("415 Unsupported Media Type"), func(c *Config) {
			c.MessageTemplate, c.MessageType = tmpl, "application/lost+xml"
		})
		if r := p.client.Message(context.Background(), alice); r.OK() || r.Status != 415 || r.Err != nil {
			t.Errorf("result %+v", r)
		}
		text := p.done()[0].text
		want := `<lost aor="sip:alice@ims.example" more="0"><s>3848276298220188511@server</s></lost>`
		if got := bodyOf(text); got != want || header(text, "Content-Type") != "application/lost+xml" {
			t.Errorf("got\n%s", text)
		}
	})
}

func TestParseTemplateNamesTheLine(t *testing.T) {
	for _, text := range []string{"one\n{{.Nothing}}", "one\n{{range}}", "one\n{{if .More}"} {
		_, err := ParseTemplate(text)
		if err == nil || !strings.Contains(err.Error(), "message:2") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
