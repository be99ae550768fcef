package uac

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"rewatch/dialogs"
)

func TestParseHeaders(t *testing.T) {
	got, err := ParseHeaders("P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel\r\n\n# a note\nAccept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7\"\n  Feature-Caps :  *;+g.x  \n")
	want := []Header{
		{"P-Asserted-Service", "urn:urn-7:3gpp-service.ims.icsi.mmtel"},
		{"Accept-Contact", `*;+g.3gpp.icsi-ref="urn%3Aurn-7"`},
		{"Feature-Caps", "*;+g.x"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseHeaders(""); err != nil || got != nil {
		t.Errorf("nothing is %v, %v", got, err)
	}
	for _, bad := range []string{
		"no colon", "X Y: z", ": v", "X:", "X: a\x00b", "X: \xff", "# only a note",
		"Via: SIP/2.0/UDP 1.2.3.4", "v: x", "FROM: <sip:a@b>", "t: <sip:a@b>", "CSeq: 1 MESSAGE", "Route: <sip:x;lr>", "m: <sip:a@b>",
		"Content-Length: 0", "l: 0", "Authorization: Digest x", "Require: x", "Expires: 3600", "P-Asserted-Identity: <sip:a@b>",
		"X: " + strings.Repeat("y", 500),
	} {
		if got, err := ParseHeaders(bad); err == nil {
			t.Errorf("%.40q is %v", bad, got)
		}
	}
}

// What the operator adds is in MESSAGE and REGISTER, before the body's own fields.
func TestHeadersAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("200 OK"))
		p.client.cfg.Headers = []Header{{"P-Asserted-Service", "urn:urn-7:x"}, {"Feature-Caps", "*;+g.x"}}
		p.client.Message(context.Background(), alice)
		p.client.Deregister(context.Background(), dialogs.DeregisterJob{AOR: alice.AOR, Route: alice.Route, Contact: "sip:alice@10.1.1.1"})
		sent := p.done()
		if len(sent) != 2 {
			t.Fatalf("sent %v", sent)
		}
		for _, s := range sent {
			if header(s.text, "P-Asserted-Service") != "urn:urn-7:x" || header(s.text, "Feature-Caps") != "*;+g.x" {
				t.Errorf("sent\n%s", s.text)
			}
		}
	})
}

// However long the addresses are, no MESSAGE is longer than 1300 bytes: first the
// details give way, then all but the first line; what cannot be made to fit is not sent.
func TestLongAddresses(t *testing.T) {
	for _, user := range []string{"", "rewatch"} {
		refused, bare := 0, 0
		for length := 10; length < 700; length += 3 {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t, always("200 OK"))
				p.client.cfg.User = user
				m := alice
				m.AOR = "sip:" + strings.Repeat("a", length) + "@ims.example"
				m.Route = "sip:scscf.ims.example:6060"
				res := p.client.Message(context.Background(), m)
				sent := p.done()
				if len(sent) == 0 {
					refused++
					if res.Err == nil {
						t.Errorf("%d: nothing was sent and nothing said", length)
					}
					return
				}
				if n := len(sent[0].text); n >= 1300 || !strings.Contains(sent[0].text, opening) {
					t.Errorf("an address of %d bytes makes a MESSAGE of %d", length, n)
				}
				if strings.HasSuffix(sent[0].text, "\r\n\r\n"+opening) {
					bare++
				}
			})
		}
		if refused == 0 || bare == 0 {
			t.Errorf("user %q: %d were refused, %d had only the first line", user, refused, bare)
		}
	}
}
