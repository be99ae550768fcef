package uac

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"rewatch/dialogs"
)

var signOut = dialogs.DeregisterJob{
	AOR: "sip:alice@ims.example", Route: "sip:scscf.ims.example:6060",
	Contact: "sip:alice@192.0.2.9:5062;transport=udp",
}

func TestDeregisterGolden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("200 OK"))
		if r := p.client.Deregister(context.Background(), signOut); !r.OK() {
			t.Fatalf("%+v", r)
		}
		want := "REGISTER sip:ims.example SIP/2.0\r\n" +
			"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-rewatch-ua-BRANCH;rport\r\n" +
			"Route: <sip:scscf.ims.example:6060;lr>\r\n" +
			"Max-Forwards: 70\r\n" +
			"From: <sip:rewatch@10.0.0.1>;tag=000102030405\r\n" +
			"To: <sip:alice@ims.example>\r\n" +
			"Call-ID: 060708090a0b0c0d0e0f101112131415\r\n" +
			"User-Agent: rewatch/1.0.0\r\n" +
			"Contact: <sip:alice@192.0.2.9:5062;transport=udp>\r\n" +
			"Expires: 0\r\n" +
			"P-Asserted-Identity: <sip:rewatch@10.0.0.1>\r\n" +
			"CSeq: 1 REGISTER\r\n" +
			"Content-Length: 0\r\n\r\n"
		if got := ungolden(p.done()[0].text); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestDeregisterAtServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("200 OK"))
		j := dialogs.DeregisterJob{AOR: "sip:alice@ims.example", Target: dialogs.AtServer}
		if r := p.client.Deregister(context.Background(), j); !r.OK() {
			t.Fatalf("%+v", r)
		}
		s := p.done()[0]
		if s.hop != hopS || header(s.text, "Route") != "" || header(s.text, "Contact") != "*" ||
			!strings.HasPrefix(s.text, "REGISTER sip:ims.example SIP/2.0\r\n") {
			t.Errorf("to %v:\n%s", s.hop.Addr, s.text)
		}
	})
}

func TestRemaining(t *testing.T) {
	const ours = "sip:alice@192.0.2.9:5062;transport=udp"
	tests := []struct {
		name, contact string
		list          []string
		want          string
		others        bool
	}{
		{"empty", ours, nil, "", false},
		{"another device", ours, []string{"<sip:alice@192.0.2.8:5062>;expires=600"}, "", true},
		{"the same", ours, []string{"<sip:alice@192.0.2.9:5062;transport=udp>;expires=600"}, "sip:alice@192.0.2.9:5062;transport=udp", false},
		{"case of the host", "sip:alice@HOST.example", []string{"<sip:alice@host.EXAMPLE>"}, "sip:alice@host.EXAMPLE", false},
		{"case of the user", ours, []string{"<sip:Alice@192.0.2.9:5062>"}, "", true},
		{"escapes", "sip:al%69ce@192.0.2.9", []string{"<sip:alice@192.0.2.9>"}, "sip:alice@192.0.2.9", false},
		{"default port", "sip:alice@192.0.2.9", []string{"<sip:alice@192.0.2.9:5060>"}, "sip:alice@192.0.2.9:5060", false},
		{"other parameters", ours, []string{"<sip:alice@192.0.2.9:5062;ob>;q=0.5"}, "sip:alice@192.0.2.9:5062;ob", false},
		{"second in the line", ours, []string{`"A, B <x>" <sip:bob@h;x="1,2">, <sip:alice@192.0.2.9:5062>`}, "sip:alice@192.0.2.9:5062", true},
		{"without brackets", ours, []string{"sip:alice@192.0.2.9:5062;expires=60"}, "sip:alice@192.0.2.9:5062", false},
		{"expired", ours, []string{"<sip:alice@192.0.2.9:5062>;expires=0"}, "", false},
		{"IPv6", "sip:alice@[2001:db8::1]:5062", []string{"<sip:alice@[2001:DB8:0::1]:5062>"}, "sip:alice@[2001:DB8:0::1]:5062", false},
		{
			"instance", `<sip:alice@192.0.2.9>;+sip.instance="<urn:uuid:1>"`,
			[]string{`<sip:alice@192.0.2.10>;+sip.instance="<urn:uuid:1>"`},
			"sip:alice@192.0.2.10", false,
		},
		{
			"another instance behind the same address", `<sip:alice@192.0.2.9>;+sip.instance="<urn:uuid:1>"`,
			[]string{`<sip:alice@192.0.2.9>;+sip.instance="<urn:uuid:2>"`},
			"", true,
		},
		{
			"a GRUU, and its binding", "sip:alice@ims.example;gr=urn:uuid:1",
			[]string{`<sip:alice@192.0.2.8>`, `<sip:alice@192.0.2.9>;+sip.instance="<urn:uuid:1>"`},
			"sip:alice@192.0.2.9", true,
		},
		{
			"a GRUU that the registrar lists", "sip:tgruu.7hs@ims.example;gr",
			[]string{`<sip:alice@192.0.2.9>;+sip.instance="<urn:uuid:1>";temp-gruu="sip:tgruu.7hs@ims.example;gr"`},
			"sip:alice@192.0.2.9", false,
		},
		{"all", "*", []string{"<sip:alice@192.0.2.8>"}, "sip:alice@192.0.2.8", false},
		{"all but emergency", "*", []string{"<sip:alice@192.0.2.8;sos>"}, "", true},
		{"all, gone", "*", nil, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var list []binding
			for _, h := range tt.list {
				for _, v := range values(h) {
					list = append(list, bindingOf(v))
				}
			}
			contact := tt.contact
			if contact != everything && !strings.Contains(contact, "<") {
				contact = "<" + contact + ">"
			}
			if got, others := remaining(list, bindingOf(contact)); got != tt.want || others != tt.others {
				t.Errorf("got %q, others %t, want %q", got, others, tt.want)
			}
		})
	}
}

func TestDeregisterAgainInTheSpellingOfTheRegistrar(t *testing.T) {
	const listed = "sip:alice@192.0.2.9:5062;transport=UDP;ob"
	for _, gone := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, func(n int, s sent) []string {
				if n == 2 && gone {
					return []string{respond(s, "200 OK")}
				}
				return []string{respond(s, "200 OK", "m: <"+listed+">;expires=3000")}
			})
			r := p.client.Deregister(context.Background(), signOut)
			s := p.done()
			if len(s) != 2 || header(s[1].text, "Contact") != "<"+listed+">" {
				t.Fatalf("%d sent, then Contact %s", len(s), header(s[len(s)-1].text, "Contact"))
			}
			if header(s[0].text, "Call-ID") == header(s[1].text, "Call-ID") {
				t.Error("Call-ID repeated")
			}
			if gone != r.OK() || gone == errors.Is(r.Err, ErrBindingRemains) || r.Status != 200 {
				t.Errorf("gone %v: %+v", gone, r)
			}
		})
	}
}

// Behind a GRUU stands a binding of its own Contact, which the 200 tells.
func TestDeregisterDevice(t *testing.T) {
	const uuid = "urn:uuid:00000000-0000-1000-8000-0000000000aa"
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(n int, s sent) []string {
			other := `<sip:alice@10.9.0.2>;expires=600;+sip.instance="<urn:uuid:bb>"`
			if n == 1 {
				return []string{respond(s, "200 OK", `Contact: <sip:alice@10.9.0.1:5060>;+sip.instance="<`+uuid+`>";expires=3000, `+other)}
			}
			return []string{respond(s, "200 OK", "Contact: "+other)}
		})
		j := signOut
		j.Contact, j.Device = "sip:alice@ims.test;gr="+uuid, uuid
		r := p.client.Deregister(context.Background(), j)
		s := p.done()
		if len(s) != 2 || header(s[1].text, "Contact") != `<sip:alice@10.9.0.1:5060>;+sip.instance="<`+uuid+`>"` || !r.OK() || !r.Others {
			t.Fatalf("%d sent, then Contact %s: %+v", len(s), header(s[len(s)-1].text, "Contact"), r)
		}
	})
}

func TestDeregisterAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("200 OK", "Contact: <sip:alice@192.0.2.8>"))
		j := signOut
		j.Contact = ""
		r := p.client.Deregister(context.Background(), j)
		if s := p.done(); len(s) != 1 || header(s[0].text, "Contact") != "*" || !errors.Is(r.Err, ErrBindingRemains) {
			t.Errorf("%d sent, %+v", len(s), r)
		}
	})
}

func TestDeregisterChallenged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(n int, s sent) []string {
			if n == 1 {
				return []string{respond(s, "401 Unauthorized", challenge("n1", ""))}
			}
			return []string{respond(s, "200 OK")}
		}, withPassword)
		if r := p.client.Deregister(context.Background(), signOut); !r.OK() {
			t.Fatalf("%+v", r)
		}
		checkDigest(t, header(p.done()[1].text, "Authorization"), "REGISTER", "sip:ims.example", "n1")
	})
}

func TestRegistrarURI(t *testing.T) {
	c := newPeer(t, never).client
	tests := map[string]string{
		"sip:alice@ims.example:5060;user=phone": "sip:ims.example",
		"sip:ims.example":                       "sip:ims.example",
		"sip:alice@[2001:db8::1]:5060":          "sip:[2001:db8::1]",
		"tel:+4930":                             "sip:core.ims.example",
	}
	for aor, want := range tests {
		if got, err := c.registrarURI(dialogs.DeregisterJob{AOR: aor}); got != want || err != nil {
			t.Errorf("%s: %s, %v", aor, got, err)
		}
	}
}

func TestSplit(t *testing.T) {
	got := values(`"a,\"b" <sip:x,y@h>;p="1,2" , *,<sip:z>`)
	if want := []string{`"a,\"b" <sip:x,y@h>;p="1,2"`, "*", "<sip:z>"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
