package proxy

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
)

// TestRefusals says what is answered here, and how.
func TestRefusals(t *testing.T) {
	const rest = "From: <sip:alice@ims.example>;tag=a\nTo: <sip:bob@ims.example>;tag=OURS\nCall-ID: c1\nCSeq: 1 MESSAGE\n"
	const via = "Via: " + viaCore + "\n"
	m := request("MESSAGE", "sip:bob@ims.example", viaCore)
	for _, c := range []struct{ name, in, out string }{
		{"Max-Forwards 0", strings.Replace(m, "70", "0", 1), "SIP/2.0 483 Too Many Hops\n" + via + rest},
		{"Proxy-Require", strings.Replace(m, "\nTo", "\nProxy-Require: foo, bar\nTo", 1), "SIP/2.0 420 Bad Extension\n" + via + rest + "Unsupported: foo, bar\n"},
		{"Proxy-Require in two lines", strings.Replace(m, "\nTo", "\nProxy-Require: foo\nX: y\nproxy-require:\n bar , baz\nTo", 1), "SIP/2.0 420 Bad Extension\n" + via + rest + "Unsupported: foo, bar, baz\n"},
		{"no Call-ID", strings.Replace(m, "Call-ID: c1\n", "", 1), "SIP/2.0 400 Bad Request (missing Call-ID)\n" + via + strings.Replace(rest, "Call-ID: c1\n", "", 1)},
		{"CSeq of another method", strings.Replace(m, "1 MESSAGE", "1 INFO", 1), "SIP/2.0 400 Bad Request (method mismatch in CSeq)\n" + via + strings.Replace(rest, "MESSAGE", "INFO", 1)},
		{"rport", strings.Replace(strings.Replace(m, "70", "0", 1), ";branch", ";rport;branch", 1), "SIP/2.0 483 Too Many Hops\n" + "Via: SIP/2.0/UDP 10.0.0.2:5060;rport=5060;branch=z9hG4bKcore1;received=10.0.0.2\n" + rest},
		{"a Via without a host", strings.Replace(m, coreAddr, "", 1), ""},
		{"no Via", strings.Replace(m, via, "", 1), ""},
		{"nonsense", "hello\n", ""},
		{"a bad ACK", strings.ReplaceAll(strings.Replace(m, "70", "0", 1), "MESSAGE", "ACK"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				r.core.send(coreSide, c.in)
				if c.out == "" {
					r.core.nothing()
				} else {
					r.core.exactly(c.out + "Content-Length: 0\n")
				}
				r.server.nothing()
			})
		})
	}
}

// TestUntrusted answers 403 to strangers, and believes nothing they send.
func TestUntrusted(t *testing.T) {
	play(t, func(r *rig) {
		stranger := r.peer("192.0.2.1:5060")
		stranger.send(coreSide, request("SUBSCRIBE", "sip:bob@ims.example", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"))
		stranger.want("SIP/2.0 403 Forbidden\r\n")
		r.server.send(serverSide, notify())
		got := r.core.want("NOTIFY")
		stranger.send(coreSide, reply(got, "200 OK"))
		r.server.nothing()
		if s := r.monitor.told(); s != "NOTIFY c1" {
			t.Error(s)
		}
		// Over a connection it gets its answer, whole or in pieces, and no more.
		x := r.dial("192.0.2.1", coreSide)
		x.send(request("SUBSCRIBE", "sip:bob@ims.example", "SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx2"))
		x.want("SIP/2.0 403 Forbidden\r\n")
		<-x.gone
		for _, said := range []string{"", "nonsense", reply(got, "200 OK"), request("ACK", "sip:bob@ims.example", "SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx3")} {
			y := r.dial("192.0.2.1", coreSide)
			if said != "" {
				y.send(said)
			}
			<-y.gone
			y.nothing()
		}
		// A crowd of the silent is not even heard.
		for range 100 {
			_ = r.dial("192.0.2.1", coreSide)
		}
		synctest.Wait()
		z := r.dial("192.0.2.1", coreSide)
		<-z.gone
		r.pass(3 * time.Second)
		if s := r.monitor.told(); s != "" {
			t.Error(s)
		}
	})
}

// TestInventedResponses come from where the request did not go, or have a branch
// that was not made here.
func TestInventedResponses(t *testing.T) {
	play(t, func(r *rig) {
		r.monitor.verdict = gone
		r.server.send(serverSide, notify())
		got := r.core.want("NOTIFY")
		ok := reply(got, "200 OK")
		r.server.send(serverSide, ok)
		at := strings.Index(ok, string(draft.BranchStart)) + len(draft.BranchStart)
		r.core.send(coreSide, ok[:at+20]+"0000"+ok[at+24:])               // another loop hash
		r.core.send(coreSide, strings.Replace(ok, " NOTIFY", " INFO", 1)) // another method
		r.core.send(coreSide, strings.Replace(ok, coreSide, "10.0.0.7:5060", 1))
		r.core.send(coreSide, strings.Replace(ok, ok[at:at+2], "za", 1)) // no such socket
		r.server.nothing()
		if s := r.monitor.told(); s != "NOTIFY c1" {
			t.Error(s)
		}
		r.core.send(coreSide, ok)
		r.server.want("SIP/2.0 200")
	})
}

// TestLoopAndSpiral tells a request that comes again unchanged from one whose
// Request-URI the core has changed (RFC 3261 16.3 step 4).
func TestLoopAndSpiral(t *testing.T) {
	play(t, func(r *rig) {
		r.core.send(coreSide, request("MESSAGE", "sip:bob@ims.example", viaCore))
		got := strings.ReplaceAll(r.server.want("MESSAGE"), "\r\n", "\n")
		vias := "Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKagain\nVia: "
		back := strings.Replace(got, "Via: ", vias, 1)
		r.core.send(coreSide, back)
		r.core.want("SIP/2.0 482 Loop Detected")
		r.server.nothing()
		r.core.send(coreSide, strings.Replace(strings.Replace(back, "bob", "carol", 1), "again", "more", 1))
		r.server.want("MESSAGE sip:carol")
	})
}

// TestRulings carries out what the Monitor rules.
func TestRulings(t *testing.T) {
	play(t, func(r *rig) {
		r.monitor.register = dialogs.Ruling{Status: 403, Reason: "Forbidden"}
		r.monitor.subscribe = dialogs.Ruling{Silent: true}
		r.core.send(coreSide, request("REGISTER", "sip:ims.example", viaCore))
		r.core.want("SIP/2.0 403 Forbidden")
		r.core.send(coreSide, request("SUBSCRIBE", "sip:ims.example", viaCore))
		r.core.nothing()
		r.server.nothing()
		r.monitor.told()
		r.monitor.notify = dialogs.Ruling{Status: 481, Reason: "Gone"}
		for range 10 { // a NOTIFY in a dead dialog, with its retransmissions
			r.server.send(serverSide, notify())
			r.server.want("SIP/2.0 481 Gone")
		}
		r.core.nothing()
		if s := r.monitor.told(); s != "NOTIFY c1" {
			t.Error(s)
		}
		r.pass(2 * time.Minute)
		if n := r.s.table.Len(); n != 0 {
			t.Error(n, "records are left")
		}
	})
}

// TestOwnACK keeps the ACK of our own answer from the server, which knows nothing
// of the INVITE.
func TestOwnACK(t *testing.T) {
	play(t, func(r *rig) {
		r.core.send(coreSide, strings.Replace(request("INVITE", "sip:bob@ims.example", viaCore), "70", "0", 1))
		got := r.core.want("SIP/2.0 483")
		to := got[strings.Index(got, "To: "):]
		to = to[:strings.Index(to, "\r\n")]
		r.core.send(coreSide, request("ACK", "sip:bob@ims.example", viaCore, to))
		r.server.nothing()
		r.core.nothing()
	})
}
