package proxy

import (
	"strings"
	"testing"
	"time"
)

// TestManyOwnRoutes has a phone name rewatch over and over. Fields that follow each other
// are one edit; those that do not are more than a message is edited for, which is a 400 to
// that request and says nothing of the server.
func TestManyOwnRoutes(t *testing.T) {
	for _, c := range []struct {
		name, between, out string
		n                  int
	}{
		{"in a row", "", "", 30},
		{"one field", "", "", 1},
		{"apart, few", "X: y\n", "", 8},
		{"apart, many", "X: y\n", "SIP/2.0 400 Bad Request (too many Route fields)", 30},
	} {
		for _, method := range []string{"SUBSCRIBE", "MESSAGE", "INVITE"} {
			t.Run(c.name+" "+method, func(t *testing.T) {
				play(t, func(r *rig) {
					fields := strings.TrimSuffix(strings.Repeat("Route: <sip:"+coreSide+";lr>\n"+c.between, c.n), "\n")
					r.core.send(coreSide, request(method, "sip:"+serverAddr, viaCore, fields, "To: <sip:bob@ims.example>;tag=s"))
					if c.out != "" {
						r.core.want(c.out)
						r.server.nothing()
					} else if got := r.server.want(method); strings.Contains(got, "Route: <sip:"+coreSide+";lr>\r\n") {
						t.Errorf("a Route of ours is left: %s", got)
					}
					if r.s.health.Down() {
						t.Error("the server is marked down")
					}
					r.core.send(coreSide, request("MESSAGE", "sip:bob@ims.example", strings.Replace(viaCore, "core1", "next", 1)))
					r.server.want("MESSAGE")
				})
			})
		}
	}
}

// TestManyOwnRoutesOfTheServer has the server send a NOTIFY whose route set a phone wrote:
// the NOTIFY is refused, and nobody is judged.
func TestManyOwnRoutesOfTheServer(t *testing.T) {
	play(t, func(r *rig) {
		fields := strings.TrimSuffix(strings.Repeat("Route: <sip:"+coreSide+";lr;rw>\nX: y\n", 30), "\n")
		r.server.send(serverSide, request("NOTIFY", "sip:watcher@10.0.0.9", viaServer, fields))
		r.server.want("SIP/2.0 400 Bad Request (too many Route fields)")
		r.core.nothing()
		if s := r.monitor.told(); s != "" {
			t.Error(s)
		}
	})
}

// TestManyVias refuses a message with more Vias than hops can have made, and nothing else.
func TestManyVias(t *testing.T) {
	play(t, func(r *rig) {
		many := func(n int, sep string) string {
			return request("MESSAGE", "sip:bob@ims.example", viaCore+strings.Repeat(sep+"SIP/2.0/UDP x;branch=z9hG4bKr", n))
		}
		r.core.send(coreSide, many(1500, ","))
		r.core.want("SIP/2.0 400 Bad Request (too many Via)")
		r.core.send(coreSide, many(200, "\nVia: "))
		r.core.want("SIP/2.0 400 Bad Request (too many Via)")
		r.server.nothing()
		r.core.send(coreSide, many(100, ","))
		r.server.want("MESSAGE")
	})
}

// TestStrangersAreNoMirror answers a few datagrams of strangers in a second, each to where
// it came from.
func TestStrangersAreNoMirror(t *testing.T) {
	play(t, func(r *rig) {
		stranger, target := r.peer("192.0.2.1:40000"), r.peer("192.0.2.1:53")
		flood := func() (answers int) {
			for range 10 * strangersPerSecond {
				stranger.send(coreSide, request("SUBSCRIBE", "sip:bob@ims.example", "SIP/2.0/UDP 192.0.2.1:53;branch=z9hG4bKx"))
			}
			for stranger.poll() != "" {
				answers++
			}
			return answers
		}
		for range 3 {
			if n := flood(); n != strangersPerSecond {
				t.Errorf("%d answers", n)
			}
			r.pass(time.Second)
		}
		target.nothing()
		r.server.nothing()
	})
}
