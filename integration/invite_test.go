//go:build integration

package integration

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestInvite: calls between SIPp and SIPp pass through rewatch, in both
// directions: provisional responses, re-INVITE, INFO and BYE in the dialog,
// CANCEL, ACK to 2xx and to others.
func TestInvite(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"u1", "t1"} {
		for _, from := range []string{"core", "server"} {
			t.Run(map[string]string{"u1": "udp", "t1": "tcp"}[transport]+" from "+from, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				suffix := ""
				if transport == "t1" {
					suffix = ";transport=tcp"
				}
				r := s.launchRewatch(env{"REWATCH_SERVER": "sip:" + s.ip(40) + ":5070" + suffix})
				eventually(t, patience, "rewatch listens", func() bool {
					r.running()
					return dialable(s.coreSide()) && dialable(s.serverSide())
				})
				// From the core everything goes to the server; from the server, to
				// the Request-URI.
				caller, hop, callee, calleePort, host := 20, s.coreSide(), 40, "5070", "ims.example"
				if from == "server" {
					caller, hop, callee, calleePort, host = 40, s.serverSide(), 20, "5060", s.ip(20)+":5060"+suffix
				}
				for _, call := range [][2]string{{"caller", "callee"}, {"caller-cancel", "callee-cancel"}, {"caller-busy", "callee-busy"}} {
					// The callee takes any number of calls, for rewatch may ask it
					// with OPTIONS whether it is there.
					uas := s.sipp(call[1], callee, "-p", calleePort, "-t", transport, "-m", "1000", "-sf", scenario(t, call[1]))
					eventually(t, patience, "the callee listens", func() bool {
						uas.running()
						return listens(s.ip(callee)+":"+calleePort, transport)
					})
					// It may have been away for long enough to be held to be down.
					eventually(t, 2*patience, "rewatch has heard of the callee", func() bool {
						status, _ := r.get("/readyz")
						return from == "server" || status == http.StatusOK
					})
					uac := s.sipp(call[0], caller, hop, "-t", transport, "-timeout", "20s",
						"-sf", scenario(t, call[0]), "-key", "callee_host", host)
					if err := uac.wait(30 * time.Second); err != nil {
						t.Errorf("%s: %v\n%s", uac.name, err, tail(s.file(uac.name+".err")))
					}
					// The ACK has no answer by which the caller could tell.
					eventually(t, patience, "the callee has the ACK", func() bool {
						b, _ := os.ReadFile(s.file(call[1] + ".sip"))
						return strings.Contains(string(b), "\nACK sip:")
					})
					uas.stop()
					if b, _ := os.ReadFile(s.file(call[1] + ".err")); strings.Contains(string(b), "nexpected") {
						t.Errorf("%s: %s", call[1], b)
					}
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}
