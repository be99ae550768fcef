package uac

import (
	"context"
	"testing"
	"testing/synctest"

	"rewatch/dialogs"
)

const failedHead = "NOTIFY sip:alice@192.0.2.9:5062;transport=udp SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1\r\n" +
	"v: SIP/2.0/UDP 127.0.0.1:5071;branch=z9hG4bK0\r\n" +
	"Record-Route: <sip:10.0.0.1;lr>\r\n" +
	"Route: <sip:pcscf.ims.example;lr>,\r\n" +
	"  <sip:edge.example;lr>\r\n" +
	"Max-Forwards: 3\r\n" +
	"f: <sip:bob@ims.example>;tag=s\r\n" +
	"To: \"Alice\" <sip:alice@ims.example>;tag=w\r\n" +
	"Call-ID: abc@server\r\n" +
	"CSeq: 7 NOTIFY\r\n" +
	"Contact: <sip:server@127.0.0.1:5070>\r\n" +
	"Event: presence;id=9\r\n" +
	"Subscription-State: active;expires=599\r\n" +
	"Authorization: Digest nonce=\"x\"\r\n" +
	"Content-Type: application/pidf+xml\r\n" +
	"l: 400\r\n\r\n"

func TestTerminateGolden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("200 OK"))
		r := p.client.Terminate(context.Background(), dialogs.TerminateJob{Head: []byte(failedHead), CSeq: 8})
		if !r.OK() {
			t.Fatalf("%+v", r)
		}
		want := "NOTIFY sip:alice@192.0.2.9:5062;transport=udp SIP/2.0\r\n" +
			"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-rewatch-ua-BRANCH;rport\r\n" +
			"Max-Forwards: 70\r\n" +
			"Route: <sip:pcscf.ims.example;lr>, <sip:edge.example;lr>\r\n" +
			"f: <sip:bob@ims.example>;tag=s\r\n" +
			"To: \"Alice\" <sip:alice@ims.example>;tag=w\r\n" +
			"Call-ID: abc@server\r\n" +
			"Contact: <sip:server@127.0.0.1:5070>\r\n" +
			"Event: presence;id=9\r\n" +
			"Subscription-State: terminated;reason=deactivated\r\n" +
			"CSeq: 8 NOTIFY\r\n" +
			"Content-Length: 0\r\n\r\n"
		s := p.done()
		if got := ungolden(s[0].text); got != want || s[0].hop != hopA {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestTerminateNextHop(t *testing.T) {
	tests := []struct{ name, route, want string }{
		{"loose", "<sip:p1;lr>, <sip:p2;lr>", "sip:p1;lr"},
		{"loose with a value", "<sip:p1;LR=on>", "sip:p1;LR=on"},
		{"strict, turned round already", "<sip:alice@far>", "sip:uri"},
		{"a user that looks like lr", "<sip:a;lr@p1>", "sip:uri"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := nextHop("sip:uri", tt.route); got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestTerminateRefusesABadHead(t *testing.T) {
	for _, head := range []string{"", "NOTIFY", "SUBSCRIBE sip:a SIP/2.0\r\n", "NOTIFY sip:a SIP/2.0\r\nnonsense\r\n", "NOTIFY <x> SIP/2.0\r\n"} {
		p := newPeer(t, never)
		if r := p.client.Terminate(context.Background(), dialogs.TerminateJob{Head: []byte(head), CSeq: 1}); r.Err == nil {
			t.Errorf("%q: %+v", head, r)
		}
	}
}
