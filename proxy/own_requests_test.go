package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestMessageForIdentity answers what a client has to say of our MESSAGE, and lets all
// other MESSAGEs through.
func TestMessageForIdentity(t *testing.T) {
	play(t, func(r *rig) {
		for _, c := range []struct {
			name, msg string
			ours      bool
		}{
			{"for it", request("MESSAGE", "sip:rewatch@ims.example", viaCore+"1"), true},
			{"in another spelling", request("MESSAGE", "sip:rewatch@IMS.example:5060;transport=udp", viaCore+"2"), true},
			{"for somebody else", request("MESSAGE", "sip:alice@ims.example", viaCore+"3"), false},
			{"another method", request("OPTIONS", "sip:rewatch@ims.example", viaCore+"4"), false},
		} {
			r.core.send(coreSide, c.msg)
			got, passed := r.core.poll(), r.server.poll()
			if c.ours != strings.HasPrefix(got, "SIP/2.0 200 OK\r\n") || c.ours == (passed != "") {
				t.Errorf("%s: answered %q, passed %q", c.name, got, passed)
			}
		}
		r.server.send(serverSide, request("MESSAGE", "sip:rewatch@ims.example", viaServer))
		r.core.want("MESSAGE")
	}, func(c *Config) { c.Own.Identity = "sip:rewatch@ims.example" })
}

// TestOwnMessageReturns refuses a MESSAGE of our own that the core sends back, known
// by our Via or by the tag of its From, and lets everything else through.
func TestOwnMessageReturns(t *testing.T) {
	const ownVia = "SIP/2.0/UDP " + coreSide + ";branch=z9hG4bK-own-1;rport=5060;received=10.0.0.1"
	reg := prometheus.NewRegistry()
	asked := ""
	play(t, func(r *rig) {
		for _, c := range []struct {
			name, msg string
			refused   bool
		}{
			{"by its Via", request("MESSAGE", "sip:alice@ims.example", viaCore+"1, "+ownVia), true},
			{"by its Via in a line of its own", request("MESSAGE", "sip:alice@ims.example", viaCore+"2\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bKx\nVia: "+ownVia), true},
			{"by the tag, behind a topology that is hidden", request("MESSAGE", "sip:alice@ims.example", viaCore+"3", "From: <sip:rewatch@x>;tag=mine"), true},
			{"of another rewatch", request("MESSAGE", "sip:alice@ims.example", viaCore+"4\nVia: "+strings.ReplaceAll(ownVia, "10.0.0.1", "10.0.0.77")), false},
			{"of somebody else", request("MESSAGE", "sip:alice@ims.example", viaCore+"5", "From: <sip:bob@x>;tag=his"), false},
			{"a REGISTER by way of the core", request("REGISTER", "sip:ims.example", viaCore+"6\nVia: "+ownVia, "From: <sip:rewatch@x>;tag=mine"), false},
		} {
			t.Run(c.name, func(t *testing.T) {
				r.core.send(coreSide, c.msg)
				got, passed := r.core.poll(), r.server.poll()
				if c.refused != strings.HasPrefix(got, "SIP/2.0 482 Loop Detected\r\n") || c.refused == (passed != "") {
					t.Errorf("answered %q, passed %q", got, passed)
				}
			})
		}
		r.server.send(serverSide, request("MESSAGE", "sip:alice@10.0.0.2", viaServer, "From: <sip:rewatch@x>;tag=mine"))
		r.core.want("MESSAGE") // the server's own business
		if n := refused(r.T, reg, "own"); n != "3" {
			t.Error(n, "are counted")
		}
		for _, want := range []string{"mine false " + coreAddr, "a true " + coreAddr} {
			if !strings.Contains(asked, want) {
				t.Errorf("asked %q, not %q", asked, want)
			}
		}
	}, func(c *Config) {
		c.Reg, c.Own.Branch = reg, "z9hG4bK-own-"
		c.Own.Returned = func(tag, branch []byte, neighbour netip.AddrPort) bool {
			via := len(branch) > 0
			asked += string(tag) + map[bool]string{true: " true ", false: " false "}[via] + neighbour.String() + "; "
			return via || string(tag) == "mine"
		}
	})
}
