package route

import (
	"strings"
	"testing"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
)

// A strict router before us, or behind us, gets and gives the Request-URI its own way (RFC
// 3261 16.4, 16.6 step 6).
func TestStrictRouters(t *testing.T) {
	r := Router{Config: &Config{
		Names:  Names{NewName("10.0.0.1", 5060, 1, dialogs.Core), NewName("10.1.0.1", 5062, 3, dialogs.Server)},
		Server: []byte("sip:server"), Core: [][]byte{[]byte("sip:core")},
	}}
	for name, c := range map[string]struct {
		uri, routes string
		to          string
		requestURI  string // Request-URI
		left        string // Route, fields joined
	}{
		"before us":              {"sip:10.1.0.1:5062;lr;rw", "<sip:10.0.0.7;lr>, <sip:a@10.0.0.9>", "sip:10.0.0.7;lr", "sip:a@10.0.0.9", "<sip:10.0.0.7;lr>"},
		"before us, in its line": {"sip:10.1.0.1:5062;lr;rw", "<sip:10.0.0.7;lr>\r\nRoute: <sip:a@10.0.0.9>", "sip:10.0.0.7;lr", "sip:a@10.0.0.9", "<sip:10.0.0.7;lr>"},
		"before us alone":        {"sip:10.1.0.1:5062;lr;rw", "<sip:a@10.0.0.9>", "sip:a@10.0.0.9", "sip:a@10.0.0.9", ""},
		"behind us":              {"sip:a@10.0.0.9", "<sip:10.1.0.1:5062;lr;rw>, <sip:10.0.0.7>, <sip:10.0.0.8;lr>", "sip:10.0.0.7", "sip:10.0.0.7", "<sip:10.0.0.8;lr> + <sip:a@10.0.0.9>"},
		"behind us alone":        {"sip:a@10.0.0.9", "<sip:10.0.0.7>", "sip:10.0.0.7", "sip:10.0.0.7", "<sip:a@10.0.0.9>"},
		"both":                   {"sip:10.1.0.1:5062;lr;rw", "<sip:10.0.0.7>, <sip:a@10.0.0.9>", "sip:10.0.0.7", "sip:10.0.0.7", "<sip:a@10.0.0.9>"},
		"before us, lr=on":       {"SIP:10.1.0.1:5062;LR=on;rw", "\"a, b\" <sip:10.0.0.7;lr>, \"<x>\" <sip:a@[2001:db8::9];x=y>;z", "sip:10.0.0.7;lr", "sip:a@[2001:db8::9];x=y", "\"a, b\" <sip:10.0.0.7;lr>"},
		"behind us, IPv6":        {"sip:a@10.0.0.9", "<sip:[2001:DB8:0::7]:5060>", "sip:[2001:DB8:0::7]:5060", "sip:[2001:DB8:0::7]:5060", "<sip:a@10.0.0.9>"},
		"lr of the header":       {"sip:a@10.0.0.9", "<sip:x;lr@10.0.0.7>;lr", "sip:x;lr@10.0.0.7", "sip:x;lr@10.0.0.7", "<sip:a@10.0.0.9>"},
		"of nobody's":            {"sip:10.9.9.9;lr", "<sip:10.0.0.7;lr>", "sip:10.0.0.7;lr", "sip:10.9.9.9;lr", "<sip:10.0.0.7;lr>"},
	} {
		t.Run(name, func(t *testing.T) {
			var d draft.Draft
			if !d.Load([]byte("NOTIFY " + c.uri + " SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nRoute: " + c.routes +
				"\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@c>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 NOTIFY\r\nContent-Length: 0\r\n\r\n")) {
				t.Fatal("cannot be read")
			}
			got := r.Decide(&d, dialogs.Server)
			text := string(d.Edits.AppendTo(nil, d.Msg.Raw))
			uri, _, _ := strings.Cut(strings.TrimPrefix(text, "NOTIFY "), " ")
			var left []string
			for line := range strings.SplitSeq(text, "\r\n") {
				if v, ok := strings.CutPrefix(line, "Route: "); ok {
					left = append(left, strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), ",")))
				}
			}
			if string(got.URI) != c.to || uri != c.requestURI || strings.Join(left, " + ") != c.left {
				t.Errorf("to %s, as %s, with Route %q", got.URI, uri, left)
			}
		})
	}
}

// A URI whose host is an address needs no resolver.
func TestLiteral(t *testing.T) {
	for uri, want := range map[string]string{
		"sip:a@192.0.2.1": "udp 192.0.2.1:5060", "sip:192.0.2.1:5070;transport=TCP": "tcp 192.0.2.1:5070", "sips:192.0.2.1": "tls 192.0.2.1:5061",
		"sip:[2001:db8::1];transport=tls": "tls [2001:db8::1]:5061", "sip:a@192.0.2.1;transport=udp": "udp 192.0.2.1:5060",
		"sip:[2001:DB8:0:0::1]": "udp [2001:db8::1]:5060", "sip:[::ffff:192.0.2.1]": "udp 192.0.2.1:5060", "sip:[2001:db8::1%25eth0]": "", "sip:[:::::]": "",
		"sip:a@ims.example": "", "sip:192.0.2.1;maddr=192.0.2.2": "", "sip:192.0.2.1;transport=sctp": "", "tel:+4930": "", "": "",
	} {
		for _, r := range []func([]byte) (string, bool){
			func(uri []byte) (string, bool) {
				h, ok := Literal(uri)
				return h.Transport.String() + " " + h.Addr.String(), ok
			},
			func(uri []byte) (string, bool) {
				h, ok := (&Router{}).Literal(uri)
				return h.Transport.String() + " " + h.Addr.String(), ok
			},
		} {
			if got, ok := r([]byte(uri)); ok != (want != "") || ok && !strings.EqualFold(got, want) {
				t.Errorf("%q: %s, %v, want %q", uri, got, ok, want)
			}
		}
	}
}
