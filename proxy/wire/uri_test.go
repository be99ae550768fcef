package wire

import (
	"fmt"
	"testing"
)

func TestParseURI(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"host", "sip:b", "sip - b 0 -"},
		{"user", "sip:a@b", "sip a b 0 -"},
		{"all of it", "sips:a:pw@b.example:5061;transport=tls;lr?subject=x", "sips a:pw b.example 5061 ;transport=tls;lr"},
		{"odd case", "SiP:a@b", "SiP a b 0 -"},
		{"empty user", "sip:@b", "sip - b 0 -"},
		{"headers alone", "sip:a@b?x=y", "sip a b 0 -"},
		{"semicolon in the user", "sip:user;par=u%40example.net@b;lr", "sip user;par=u%40example.net b 0 ;lr"},
		{"question mark in the user", "sip:a?b@c", "sip a?b c 0 -"},
		{"IPv4", "sip:192.0.2.1:5060", "sip - 192.0.2.1 5060 -"},
		{"IPv6", "sip:[2001:db8::1]", "sip - 2001:db8::1 0 -"},
		{"IPv6 with port", "sip:a@[2001:db8::1]:5070;lr", "sip a 2001:db8::1 5070 ;lr"},
		{"IPv4 in IPv6", "sip:[::ffff:192.0.2.1]", "sip - ::ffff:192.0.2.1 0 -"},
		{"underscore", "sip:a_b.example", "sip - a_b.example 0 -"},
		{"telephone number", "tel:+358-555;phone-context=x", "tel +358-555;phone-context=x - 0 -"},
		{"URN", "urn:service:sos", "urn service:sos - 0 -"},
		{"scheme with dot", "soap.beep://192.0.2.103:3002", "soap.beep //192.0.2.103:3002 - 0 -"},

		{"empty", "", "unreadable"},
		{"no scheme", "a@b", "unreadable"},
		{"empty scheme", ":a", "unreadable"},
		{"scheme no scheme", "a b:c", "unreadable"},
		{"scheme a number", "1a:c", "unreadable"},
		{"everyone", "*", "unreadable"},
		{"no host", "sip:", "unreadable"},
		{"no host behind the user", "sip:a@", "unreadable"},
		{"nothing of a number", "tel:", "unreadable"},
		{"slashes", "sip://b", "unreadable"},
		{"two at signs", "sip:a@b@c", "unreadable"},
		{"at sign in the headers", "sip:a@b?to=sip:c@d", "sip a b 0 -"},
		{"no port", "sip:b:", "unreadable"},
		{"port nought", "sip:b:0", "unreadable"},
		{"port too great", "sip:b:65536", "unreadable"},
		{"port no number", "sip:b:5o60", "unreadable"},
		{"two ports", "sip:b:1:2", "unreadable"},
		{"IPv6 without brackets", "sip:2001:db8::1", "unreadable"},
		{"open bracket", "sip:[2001:db8::1", "unreadable"},
		{"brackets around a name", "sip:[b]", "unreadable"},
		{"IPv6 with zone", "sip:[fe80::1%25eth0]", "unreadable"},
		{"text behind the bracket", "sip:[::1]x", "unreadable"},
		{"white space", "sip:a@b; lr", "unreadable"},
		{"folded", "sip:a@b;\r\n lr", "unreadable"},
		{"control character", "sip:a@b;\x00lr", "unreadable"},
		{"angle bracket", "<sip:a@b>", "unreadable"},
		{"escaped host", "sip:a@%62", "unreadable"},
		{"comma in the host", "sip:a@b,c", "unreadable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := "unreadable"
			if u, ok := ParseURI([]byte(tt.in)); ok {
				got = fmt.Sprintf("%s %s %s %d %s", u.Scheme, dash(u.User), dash(u.Host), u.Port, dash(u.Params))
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func dash(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return string(b)
}

func TestHostPort(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"name", "h", "h 0"},
		{"with port", "h:5060", "h 5060"},
		{"white space around the colon", " h \r\n : 5060 ", "h 5060"},
		{"leading zeros", "h:05060", "h 5060"},
		{"IPv6", "[::1]", "::1 0"},
		{"IPv6, white space, port", "[::1] : 5060", "::1 5060"},
		{"dot at the end", "h.example.:5060", "h.example. 5060"},
		{"empty", "", "unreadable"},
		{"nothing in the brackets", "[]", "unreadable"},
		{"port alone", ":5060", "unreadable"},
		{"two words", "h i", "unreadable"},
		{"two words and port", "h i:5060", "unreadable"},
		{"words behind the port", "h:5060 i", "unreadable"},
		{"sign", "h:+5060", "unreadable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := "unreadable"
			if host, port, ok := HostPort([]byte(tt.in)); ok {
				got = fmt.Sprintf("%s %d", host, port)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
