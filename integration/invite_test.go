//go:build integration

package integration

import (
	"testing"
	"time"
)

// TestInvite: calls between SIPp and SIPp pass through rewatch, in both
// directions: provisional responses, re-INVITE, INFO and BYE in the dialog,
// CANCEL, ACK to 2xx and to others.
func TestInvite(t *testing.T) {
	for _, transport := range []string{"u1", "t1"} {
		for _, from := range []string{"core", "server"} {
			t.Run(map[string]string{"u1": "udp", "t1": "tcp"}[transport]+" from "+from, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				suffix := ""
				if transport == "t1" {
					suffix = ";transport=tcp"
				}
				s.startRewatch(env{"REWATCH_SERVER": "sip:" + s.ip(40) + ":5070" + suffix})
				// From the core everything goes to the server; from the server, to
				// the Request-URI.
				caller, hop, callee, calleePort, host := 20, s.coreSide(), 40, "5070", "ims.example"
				if from == "server" {
					caller, hop, callee, calleePort, host = 40, s.serverSide(), 20, "5060", s.ip(20)+":5060"+suffix
				}
				for _, call := range [][2]string{{"caller", "callee"}, {"caller-cancel", "callee-cancel"}, {"caller-busy", "callee-busy"}} {
					uas := s.sipp(call[1], callee, "-p", calleePort, "-t", transport, "-timeout", "20s", "-sf", scenario(t, call[1]))
					time.Sleep(200 * time.Millisecond) // SIPp has no sign of being ready over UDP
					uac := s.sipp(call[0], caller, hop, "-t", transport, "-timeout", "20s",
						"-sf", scenario(t, call[0]), "-key", "callee_host", host)
					for _, p := range []*process{uac, uas} {
						if err := p.wait(30 * time.Second); err != nil {
							t.Errorf("%s: %v\n%s", p.name, err, tail(s.file(p.name+".err")))
						}
					}
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}
