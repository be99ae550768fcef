package draft

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"testing"

	"rewatch/proxy/wire"
)

const request = "INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa;rport, SIP/2.0/TCP y\r\nVia: SIP/2.0/UDP z\r\n" +
	"Route: <sip:r1;lr>\r\nRoute: <sip:r2;lr>\r\nf: <sip:a@x>;tag=a\r\nTo: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n" +
	"Timestamp: 3\r\nSubject: lunch\r\nContent-Length: 0\r\n\r\n"

// at has a message at hand.
func at(t *testing.T, seed maphash.Seed, raw string) *Draft {
	t.Helper()
	d := &Draft{Seed: seed}
	if !d.Load([]byte(raw)) {
		t.Fatalf("cannot be read: %s", raw)
	}
	return d
}

// An answer has what RFC 3261 8.2.6 asks for and nothing else, and its ACK is recognised.
func TestAnswer(t *testing.T) {
	seed := maphash.MakeSeed()
	from := netip.MustParseAddrPort("192.0.2.1:5066")
	d := at(t, seed, request)
	raw, ok := d.Answer(from, 503, "No\r\nWay", "Retry-After: 5")
	if !ok {
		t.Fatal("no answer")
	}
	answer := string(raw)
	head, rest, _ := strings.Cut(answer, "To: <sip:b@x>;tag=")
	tag, rest, _ := strings.Cut(rest, "\r\n")
	if want := "SIP/2.0 503 No  Way\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa;rport=5066;received=192.0.2.1, SIP/2.0/TCP y\r\nVia: SIP/2.0/UDP z\r\n" +
		"f: <sip:a@x>;tag=a\r\n"; head != want {
		t.Errorf("the answer begins\n%s, want\n%s", head, want)
	}
	if want := "Call-ID: c\r\nCSeq: 7 INVITE\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"; rest != want || len(tag) != 18 {
		t.Errorf("the tag is %q, the answer ends\n%s", tag, rest)
	}
	again, _ := at(t, seed, request).Answer(from, 503, "No\r\nWay", "Retry-After: 5")
	if string(again) != answer {
		t.Error("a retransmission is answered differently")
	}
	trying, _ := at(t, seed, request).Answer(from, 100, "Trying")
	if s := string(trying); !strings.Contains(s, "Timestamp: 3") || strings.Contains(s, "To: <sip:b@x>;tag") {
		t.Errorf("the 100 is\n%s", s)
	}

	invite, failure := at(t, seed, request), at(t, seed, answer)
	ack := string(AppendACK(nil, &invite.Msg, &failure.Msg))
	want := "ACK sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa;rport=5066;received=192.0.2.1\r\nMax-Forwards: 70\r\n" +
		"Route: <sip:r1;lr>\r\nRoute: <sip:r2;lr>\r\nf: <sip:a@x>;tag=a\r\nTo: <sip:b@x>;tag=" + tag + "\r\nCall-ID: c\r\nCSeq: 7 ACK\r\nContent-Length: 0\r\n\r\n"
	if ack != want {
		t.Errorf("the ACK is\n%s, want\n%s", ack, want)
	}
	for raw, want := range map[string]bool{
		ack: true, strings.Replace(ack, tag, tag[:17]+"_", 1): false, strings.Replace(ack, ";tag="+tag, "", 1): false,
		strings.Replace(ack, "Call-ID: c", "Call-ID: d", 1): false, request: false,
	} {
		if at(t, seed, raw).OwnACK() != want {
			t.Errorf("the ACK of an own answer: %v\n%s", !want, raw)
		}
	}
	if _, ok := (&Draft{Seed: seed}).Answer(from, 400, "Bad"); ok {
		t.Error("an answer goes nowhere")
	}
}

// Our Via is taken away, wherever it stands, and the one below it is read.
func TestStripped(t *testing.T) {
	const rest = "From: <sip:a@x>\r\nTo: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 7 NOTIFY\r\nContent-Length: 0\r\n\r\n"
	for via, want := range map[string]string{
		"Via: SIP/2.0/UDP own, SIP/2.0/UDP y\r\n":         "Via: SIP/2.0/UDP y\r\n",
		"v: SIP/2.0/UDP own\r\nVia: SIP/2.0/TCP y\r\n":    "Via: SIP/2.0/TCP y\r\n",
		"Via: SIP/2.0/UDP own\r\n":                        "",
		"Via: SIP/2.0/UDP own\r\nVia: nothing of use\r\n": "",
	} {
		got := string(at(t, maphash.MakeSeed(), "SIP/2.0 200 OK\r\n"+via+rest).Stripped())
		if want != "" {
			want = "SIP/2.0 200 OK\r\n" + want + rest
		}
		if got != want {
			t.Errorf("%q leaves as\n%s", via, got)
		}
	}
	skeleton := string(at(t, maphash.MakeSeed(), request).Skeleton())
	if strings.Contains(skeleton, "Subject") || strings.Contains(skeleton, "Route") || !strings.Contains(skeleton, "Timestamp: 3\r\n") || !strings.HasPrefix(skeleton, "INVITE sip:- ") {
		t.Errorf("the skeleton is\n%s", skeleton)
	}
}

// Where a response goes is said by the Via (RFC 3261 18.2.2, RFC 3581 section 4).
func TestResponseAddr(t *testing.T) {
	for via, want := range map[string]string{
		"SIP/2.0/UDP 192.0.2.1":                                "192.0.2.1:5060",
		"SIP/2.0/TLS 192.0.2.1":                                "192.0.2.1:5061",
		"SIP/2.0/UDP 192.0.2.1:5070":                           "192.0.2.1:5070",
		"SIP/2.0/UDP pc;received=192.0.2.2":                    "192.0.2.2:5060",
		"SIP/2.0/UDP pc:5070;received=192.0.2.2;rport=6000":    "192.0.2.2:6000",
		"SIP/2.0/UDP pc:5070;received=192.0.2.2;rport=99999":   "192.0.2.2:5070",
		"SIP/2.0/UDP [2001:db8::1]:5070":                       "[2001:db8::1]:5070",
		"SIP/2.0/UDP pc:5070;maddr=192.0.2.3;received=1.2.3.4": "192.0.2.3:5070",
		"SIP/2.0/UDP pc":                                       "",
		"SIP/2.0/UDP pc;received=2001:db8::1;rport=6000":       "[2001:db8::1]:6000",
		"SIP/2.0/UDP pc;received=[2001:DB8:0::1]":              "[2001:db8::1]:5060",
		"SIP/2.0/UDP pc:5070;maddr=[2001:db8::3];ttl=4":        "[2001:db8::3]:5070",
		"SIP/2.0/UDP [::ffff:192.0.2.1];rport":                 "192.0.2.1:5060",
		"SIP/2.0/UDP 192.0.2.1;maddr=nowhere.example":          "192.0.2.1:5060",
	} {
		v, ok := wire.ParseVia([]byte(via))
		if !ok {
			t.Fatalf("%s cannot be read", via)
		}
		if got, ok := ResponseAddr(&v); ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: %s, %v", via, got, ok)
		}
	}
}

// A transaction is found again by what stays the same in its messages, and by nothing else.
func TestKeys(t *testing.T) {
	seed := maphash.MakeSeed()
	key := func(raw string) uint64 { return at(t, seed, raw).TransactionKey(0) }
	same := strings.NewReplacer("INVITE", "CANCEL", "Subject: lunch\r\n", "")
	if key(request) != key(same.Replace(request)) {
		t.Error("the CANCEL is of another transaction")
	}
	if at(t, seed, request).TransactionKey(0) == at(t, seed, request).TransactionKey(1) {
		t.Error("both sides have one transaction")
	}
	for old, now := range map[string]string{"z9hG4bKa": "z9hG4bKb", "192.0.2.9": "192.0.2.8", "7 INVITE": "8 INVITE", "Call-ID: c": "Call-ID: d", "tag=a": "tag=b"} {
		if key(request) == key(strings.Replace(request, old, now, 1)) {
			t.Errorf("with %s it is the same transaction", now)
		}
	}
	// Without the branch of RFC 3261 the Request-URI counts as well (17.2.3).
	before := strings.Replace(request, ";branch=z9hG4bKa", "", 1)
	if key(before) == key(strings.Replace(before, "sip:b@x", "sip:c@x", 1)) {
		t.Error("of RFC 2543, another Request-URI is the same transaction")
	}

	loop := func(raw string) uint32 { return at(t, seed, raw).LoopHash(0) }
	if loop(request) != loop(strings.Replace(request, "lunch", "dinner", 1)) {
		t.Error("a loop with another Subject is none")
	}
	for old, now := range map[string]string{"INVITE sip:b@x": "INVITE sip:c@x", "sip:r2": "sip:r3", "7 INVITE": "8 INVITE", "Call-ID: c": "Call-ID: d"} {
		if loop(request) == loop(strings.Replace(request, old, now, 1)) {
			t.Errorf("with %s it is a loop", now)
		}
	}
	if loop(request)&1 != 0 || loop(strings.ReplaceAll(request, "INVITE", "SUBSCRIBE"))&1 != 1 || loop(strings.ReplaceAll(request, "INVITE", "MESSAGE"))&1 != 0 {
		t.Error("what begins a dialog is not told")
	}
}

// Room that a large message has needed is given back.
func TestTrim(t *testing.T) {
	d := at(t, maphash.MakeSeed(), request)
	d.Scratch("small")
	if d.Trim(); d.text == nil {
		t.Error("a small buffer is thrown away")
	}
	d.Reset()
	d.Scratch(strings.Repeat("x", maxKept+1))
	if d.Trim(); d.text != nil {
		t.Error("a large buffer is kept")
	}
}
