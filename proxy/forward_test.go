package proxy

import (
	"strings"
	"testing"
)

// TestMethods forwards a request of every method from the core to the server and
// from the server to the core, and its response back.
func TestMethods(t *testing.T) {
	for _, method := range []string{
		"REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "OPTIONS", "INVITE", "BYE",
		"PRACK", "UPDATE", "INFO", "REFER", "X-ODD.method",
	} {
		t.Run(method, func(t *testing.T) {
			play(t, func(r *rig) {
				r.core.send(coreSide, request(method, "sip:bob@ims.example", viaCore))
				got := r.server.want(method + " sip:bob@ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.1:5062;branch=z9hG4bKrw")
				r.server.send(serverSide, reply(got, "200 OK"))
				back := r.core.want("SIP/2.0 200 OK\r\nVia: " + viaCore + "\r\n")
				if strings.Contains(back, "z9hG4bKrw") {
					t.Error("our Via is still there")
				}
				r.server.send(serverSide, request(method, "sip:bob@ims.example", viaServer, "Route: <sip:"+coreAddr+";lr>"))
				got = r.core.want(method + " sip:bob@ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKrw")
				r.core.send(coreSide, reply(got, "200 OK"))
				r.server.want("SIP/2.0 200 OK\r\nVia: " + viaServer + "\r\n")
				r.core.nothing()
				r.server.nothing()
			})
		})
	}
}

// fields are what every request of the golden cases ends with.
const fields = `From: <sip:alice@ims.example>;tag=a
To: <sip:bob@ims.example>
Call-ID: c1
CSeq: 7 MESSAGE
`

// TestRequestBytes says for each oddity what leaves, byte for byte.
func TestRequestBytes(t *testing.T) {
	const first = "MESSAGE sip:bob@ims.example SIP/2.0\n"
	const our = "Via: SIP/2.0/UDP 10.1.0.1:5062;branch=OURS\n"
	for _, c := range []struct{ name, in, out string }{
		{
			"plain",
			first + "Via: " + viaCore + "\nMax-Forwards: 70\n" + fields + "X-Odd :  a \n b\n\nbody\r\n\x00\xff",
			first + our + "Via: " + viaCore + "\nMax-Forwards: 69\n" + fields + "X-Odd :  a \n b\n\nbody\r\n\x00\xff",
		},
		{
			"two Via lines, with others between",
			first + "Subject: x\nVia: " + viaCore + "\nX: y\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\nMax-Forwards: 2\n" + fields,
			first + "Subject: x\n" + our + "Via: " + viaCore + "\nX: y\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\nMax-Forwards: 1\n" + fields,
		},
		{
			"Vias in one line, compact, folded",
			first + "v: SIP / 2.0 /UDP 10.0.0.2:5060;rport;branch=z9hG4bKcore1,\n\tSIP/2.0/TCP h.example;branch=z9hG4bKa\nMax-Forwards: 070\n" + fields,
			first + our + "v: SIP / 2.0 /UDP 10.0.0.2:5060;rport=5060;branch=z9hG4bKcore1;received=10.0.0.2,\n\tSIP/2.0/TCP h.example;branch=z9hG4bKa\nMax-Forwards: 69\n" + fields,
		},
		{
			"a name in the sent-by",
			first + "Via: SIP/2.0/UDP core.example;branch=z9hG4bKcore1\nMax-Forwards: 70\n" + fields,
			first + our + "Via: SIP/2.0/UDP core.example;branch=z9hG4bKcore1;received=10.0.0.2\nMax-Forwards: 69\n" + fields,
		},
		{
			"received and rport that the sender has made up",
			first + "Via: SIP/2.0/UDP 10.0.0.2;received=192.0.2.66;rport=9;branch=z9hG4bKcore1\nMax-Forwards: 70\n" + fields,
			first + our + "Via: SIP/2.0/UDP 10.0.0.2;received=10.0.0.2;rport=5060;branch=z9hG4bKcore1\nMax-Forwards: 69\n" + fields,
		},
		{
			"no Max-Forwards",
			first + "Via: " + viaCore + "\n" + fields,
			first + our + "Via: " + viaCore + "\nMax-Forwards: 70\n" + fields,
		},
		{
			"our Route, and the S-CSCF's below it with all its parameters",
			first + "Via: " + viaCore + "\nRoute: <sip:" + coreSide + ";lr>, <sip:mark@scscf.ims.example:6060;lr;x=y>\nMax-Forwards: 70\n" + fields,
			first + our + "Via: " + viaCore + "\nRoute: <sip:mark@scscf.ims.example:6060;lr;x=y>\nMax-Forwards: 69\n" + fields,
		},
		{
			"our Route twice in one line, with a display name and parameters",
			first + "Via: " + viaCore + "\nroute: \"a, b\" <sip:" + coreSide + ";lr>;x=1 , <sip:" + serverSide + ";lr;rw>\nMax-Forwards: 70\n" + fields,
			first + our + "Via: " + viaCore + "\nMax-Forwards: 69\n" + fields,
		},
		{
			"our Routes in two lines",
			first + "Route: <sip:" + coreSide + ";lr>\nVia: " + viaCore + "\nMax-Forwards: 70\nRoute: <sip:" + serverSide + ";lr>, <sip:x.example;lr>\nRoute: <sip:y.example;lr>\n" + fields,
			first + our + "Via: " + viaCore + "\nMax-Forwards: 69\nRoute: <sip:x.example;lr>\nRoute: <sip:y.example;lr>\n" + fields,
		},
		{
			"an empty Route value",
			first + "Via: " + viaCore + "\nRoute: ,<sip:" + coreSide + ";lr>\nMax-Forwards: 70\n" + fields,
			first + our + "Via: " + viaCore + "\nMax-Forwards: 69\n" + fields,
		},
		{
			"not our Route below another's",
			first + "Via: " + viaCore + "\nRoute: <sip:x.example;lr>,<sip:" + coreSide + ";lr>\nMax-Forwards: 70\n" + fields,
			first + our + "Via: " + viaCore + "\nRoute: <sip:x.example;lr>,<sip:" + coreSide + ";lr>\nMax-Forwards: 69\n" + fields,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				r.core.send(coreSide, c.in)
				r.server.exactly(c.out)
				r.core.nothing()
			})
		})
	}
}

// TestStrictRouting undoes what a strict router in front of us has done, and does
// it for one behind us (RFC 3261 16.4, 16.6 step 6).
func TestStrictRouting(t *testing.T) {
	const rest = "Max-Forwards: 70\nFrom: <sip:a@b>;tag=a\nTo: <sip:c@d>;tag=b\nCall-ID: c1\nCSeq: 7 INFO\n"
	left := strings.Replace(rest, "70", "69", 1)
	const our = "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=OURS\nVia: " + viaServer + "\n"
	start := func(uri string) string { return "INFO " + uri + " SIP/2.0\n" }
	for _, c := range []struct{ name, in, out string }{
		{
			"in front: the only Route",
			start("sip:"+serverSide+";lr;rw") + "Via: " + viaServer + "\nRoute: <sip:u@10.0.0.2;x=y>\n" + rest,
			start("sip:u@10.0.0.2;x=y") + our + left,
		},
		{
			"in front: our other entry in the same line",
			start("sip:"+serverSide+";lr;rw") + "Via: " + viaServer + "\nRoute: <sip:" + coreSide + ";lr;rw>, <sip:u@10.0.0.2>\n" + rest,
			start("sip:u@10.0.0.2") + our + left,
		},
		{
			"in front: a loose router between",
			start("sip:"+serverSide+";lr;rw") + "Via: " + viaServer + "\nRoute: <sip:10.0.0.2;lr>,\n <sip:u@192.0.2.9>\n" + rest,
			start("sip:u@192.0.2.9") + our + "Route: <sip:10.0.0.2;lr>\n" + left,
		},
		{
			"in front: what would be no Request-URI, but two lines",
			start("sip:"+serverSide+";lr;rw") + "Via: " + viaServer + "\nRoute: <sip:10.0.0.2;lr>,\n <sip:u@192.0.2.9 SIP/2.0\n evil>\n" + rest,
			start("sip:"+serverSide+";lr;rw") + our + "Route: <sip:10.0.0.2;lr>,\n <sip:u@192.0.2.9 SIP/2.0\n evil>\n" + left,
		},
		{
			"behind",
			start("sip:u@192.0.2.9") + "Via: " + viaServer + "\nRoute: <sip:" + serverSide + ";lr>, <sip:10.0.0.2>, <sip:x.example;lr>\nX: y\n" + rest,
			start("sip:10.0.0.2") + our + "Route: <sip:x.example;lr>\nRoute: <sip:u@192.0.2.9>\nX: y\n" + left,
		},
		{
			"behind: the only Route",
			start("sip:u@192.0.2.9") + "Via: " + viaServer + "\nRoute: <sip:10.0.0.2>\nX: y\n" + rest,
			start("sip:10.0.0.2") + our + "Route: <sip:u@192.0.2.9>\nX: y\n" + left,
		},
		{
			"in front and behind",
			start("sip:"+serverSide+";lr") + "Via: " + viaServer + "\nRoute: <sip:10.0.0.2>, <sip:u@192.0.2.9>\n" + rest,
			start("sip:10.0.0.2") + our + "Route: <sip:u@192.0.2.9>\n" + left,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				r.server.send(serverSide, c.in)
				r.core.exactly(c.out)
			})
		})
	}
}

// TestRecordRoute looks at who gets our two Record-Routes.
func TestRecordRoute(t *testing.T) {
	const two = "\r\nRecord-Route: <sip:10.1.0.1:5062;lr;rw>\r\nRecord-Route: <sip:10.0.0.1:5060;lr;rw>\r\n"
	for _, c := range []struct {
		method, to string
		want       bool
	}{
		{"SUBSCRIBE", "", true},
		{"SUBSCRIBE", ";tag=b", false},
		{"INVITE", "", true},
		{"INVITE", ";tag=b", false},
		{"REFER", "", true},
		{"NOTIFY", "", true},
		{"NOTIFY", ";tag=b", true},
		{"MESSAGE", "", false},
		{"REGISTER", "", false},
		{"PUBLISH", "", false},
		{"OPTIONS", "", false},
		{"BYE", ";tag=b", false},
	} {
		t.Run(c.method+c.to, func(t *testing.T) {
			play(t, func(r *rig) {
				m := request(c.method, "sip:bob@"+serverAddr, viaCore, "To: <sip:c@d>"+c.to)
				r.core.send(coreSide, m)
				if got := r.server.want(c.method); strings.Contains(got, two) != c.want {
					t.Error(got)
				}
				// Where another has recorded its route already, ours stands above it.
				m = strings.Replace(m, "core1", "core2", 1)
				r.core.send(coreSide, strings.Replace(m, "\nTo:", "\nX: y\nRecord-Route: <sip:p.example;lr>\nTo:", 1))
				got := r.server.want(c.method)
				if strings.Contains(got, "\r\nX: y"+two+"Record-Route: <sip:p.example;lr>\r\n") != c.want {
					t.Error(got)
				}
			})
		})
	}
}

// TestMaxExpires lowers what is asked of the server, and never raises it.
func TestMaxExpires(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"Expires: 3600\n", "Expires: 60\n"},
		{"Expires :\n 3600\n", "Expires :\n 60\n"},
		{"Expires: 60\n", "Expires: 60\n"},
		{"Expires: 0\n", "Expires: 0\n"},
		{"Expires: soon\n", "Expires: soon\n"},
		{"", "Expires: 60\n"},
	} {
		play(t, func(r *rig) {
			const start = "SUBSCRIBE sip:b@c SIP/2.0\nVia: "
			const rest = "Max-Forwards: 70\nTo: <sip:b@c>;tag=b\nFrom: <sip:a@b>;tag=a\nCall-ID: c1\nCSeq: 7 SUBSCRIBE\n"
			r.core.send(coreSide, start+viaCore+"\n"+rest+c.in)
			r.server.exactly(start + "SIP/2.0/UDP 10.1.0.1:5062;branch=OURS\nVia: " + viaCore + "\n" + strings.Replace(rest, "70", "69", 1) + c.out)
		}, func(c *Config) { c.MaxExpires = 60 })
	}
}
