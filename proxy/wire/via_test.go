package wire

import (
	"fmt"
	"testing"
)

func TestParseVia(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "SIP/2.0/UDP h;branch=z9hG4bK1", "UDP h 0 branch=z9hG4bK1"},
		{"port", "SIP/2.0/TCP h:5070;branch=1", "TCP h 5070 branch=1"},
		{"no parameters", "SIP/2.0/UDP h", "UDP h 0 branch=-"},
		{"no cookie", "SIP/2.0/UDP h;branch=390skdjuw", "UDP h 0 branch=390skdjuw"},
		{"odd case", "sip/2.0/udp H;BRANCH=aB", "udp H 0 branch=aB"},
		{"other transport", "SIP/2.0/TLS-SCTP h;branch=1", "TLS-SCTP h 0 branch=1"},
		{"white space", "SIP  / 2.0  / TCP     h   ;\r\n  branch  =   1  ", "TCP h 0 branch=1"},
		{"folded everywhere", "SIP\r\n /\r\n 2.0\r\n /\r\n UDP\r\n h\r\n :\r\n 1\r\n ;branch=2", "UDP h 1 branch=2"},
		{"IPv6", "SIP/2.0/UDP [2001:db8::1];branch=1", "UDP 2001:db8::1 0 branch=1"},
		{"IPv6 with port", "SIP/2.0/UDP [2001:db8::1]:5070;branch=1", "UDP 2001:db8::1 5070 branch=1"},
		{"rport asked for", "SIP/2.0/UDP h;rport;branch=1", "UDP h 0 branch=1 rport="},
		{"rport filled in", "SIP/2.0/UDP h;rport=99;branch=1", "UDP h 0 branch=1 rport=99"},
		{"received", "SIP/2.0/UDP h;received=192.0.2.1;branch=1", "UDP h 0 branch=1 received=192.0.2.1"},
		{"maddr", "SIP/2.0/UDP h;maddr=224.2.0.1;ttl=16;branch=1", "UDP h 0 branch=1 maddr=224.2.0.1"},
		{"branch twice", "SIP/2.0/UDP h;branch=1;branch=2", "UDP h 0 branch=1"},
		{"branch twice, without value", "SIP/2.0/UDP h;branch;branch=2", "UDP h 0 branch=-"},
		{"branch within quotes", `SIP/2.0/UDP h;x=";branch=2";branch=1`, "UDP h 0 branch=1"},
		{"empty parameters", "SIP/2.0/UDP h;;;branch=1;", "UDP h 0 branch=1"},
		{"other names", "SIP/2.0/UDP h;branches=2;keep;branch=1", "UDP h 0 branch=1"},
		{"other version", "SIP/7.0/UDP h;branch=1", "UDP h 0 branch=1"},

		{"empty", "", "unreadable"},
		{"other protocol", "HTTP/1.1/TCP h", "unreadable"},
		{"no transport", "SIP/2.0 h;branch=1", "unreadable"},
		{"empty transport", "SIP/2.0/ ;branch=1", "unreadable"},
		{"no version", "SIP//UDP h", "unreadable"},
		{"transport no token", "SIP/2.0/U@DP h", "unreadable"},
		{"no host", "SIP/2.0/UDP", "unreadable"},
		{"no host but parameters", "SIP/2.0/UDP ;branch=1", "unreadable"},
		{"parameters at once", "SIP/2.0/UDP;branch=1", "unreadable"},
		{"bad port", "SIP/2.0/UDP h:x;branch=1", "unreadable"},
		{"a quote that does not end", `SIP/2.0/UDP h;branch=1;x="y`, "unreadable"},
		{"a quote that ends behind an escaped one", `SIP/2.0/UDP h;x="\";y";branch=1`, "UDP h 0 branch=1"},
		{"two hosts", "SIP/2.0/UDP h i;branch=1", "unreadable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := showVia(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func showVia(v string) string {
	via, ok := ParseVia([]byte(v))
	if !ok {
		return "unreadable"
	}
	s := fmt.Sprintf("%s %s %d branch=%s", via.Transport, via.Host, via.Port, dash(via.Branch))
	if via.Received != nil {
		s += fmt.Sprintf(" received=%s", via.Received)
	}
	if via.MAddr != nil {
		s += fmt.Sprintf(" maddr=%s", via.MAddr)
	}
	if via.HasRPort {
		s += fmt.Sprintf(" rport=%s", via.RPort)
	}
	return s
}

// TestViaSpans fills in what RFC 3581 asks for, where the parameters stand.
func TestViaSpans(t *testing.T) {
	for in, want := range map[string]string{
		"SIP/2.0/UDP h;rport;branch=1":                "SIP/2.0/UDP h;rport=99;branch=1",
		"SIP/2.0/UDP h;branch=1;rport":                "SIP/2.0/UDP h;branch=1;rport=99",
		"SIP/2.0/UDP h; rport = 1 ;branch=1":          "SIP/2.0/UDP h; rport=99 ;branch=1",
		"SIP/2.0/UDP h;received=1.2.3.4;rport=":       "SIP/2.0/UDP h;received=192.0.2.9;rport=99",
		"SIP/2.0/UDP h;rport\r\n ;received\r\n =::1 ": "SIP/2.0/UDP h;rport=99\r\n ;received=192.0.2.9 ",
		"SIP/2.0/UDP h;branch=1":                      "SIP/2.0/UDP h;branch=1",
	} {
		via, ok := ParseVia([]byte(in))
		if !ok {
			t.Errorf("cannot read %q", in)
		}
		var e Edits
		if via.HasRPort {
			e.Replace(via.RPortSpan.From, via.RPortSpan.To, []byte("rport=99"))
		}
		if s := via.ReceivedSpan; s.To > 0 {
			e.Replace(s.From, s.To, []byte("received=192.0.2.9"))
		}
		if got := string(e.AppendTo(nil, []byte(in))); got != want {
			t.Errorf("%q\ngot  %q\nwant %q", in, got, want)
		}
	}
}
