package proxy

import (
	"strings"
	"testing"
)

// TestVeil marks the Record-Route of a SUBSCRIBE whose From is not its asserted
// identity, and knows the mark in the NOTIFYs of its dialog.
func TestVeil(t *testing.T) {
	for _, c := range []struct {
		name, asserted string
		differs        bool
	}{
		{"none asserted", "", false},
		{"of From", "P-Asserted-Identity: <sip:alice@ims.example>", false},
		{"of From among others", "P-Asserted-Identity: <tel:+1555>\nP-Asserted-Identity: <sip:alice@ims.example>", false},
		{"of another", "P-Asserted-Identity: \"Alice\" <sip:mallory@ims.example>", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				var extra []string
				if c.asserted != "" {
					extra = []string{c.asserted}
				}
				r.core.send(coreSide, request("SUBSCRIBE", "sip:bob@ims.example", viaCore, extra...))
				got := r.server.want("SUBSCRIBE")
				mark := map[bool]string{true: "=pai"}[c.differs]
				if !strings.Contains(got, "\r\nRecord-Route: <sip:"+serverSide+";lr;rw"+mark+">\r\nRecord-Route: <sip:"+coreSide+";lr;rw>\r\n") {
					t.Error(got)
				}
				r.monitor.told()
				r.server.send(serverSide, strings.Replace(notify(), serverSide+";lr;rw", serverSide+";lr;rw"+mark, 1))
				r.core.want("NOTIFY")
				if s := r.monitor.told(); s != map[bool]string{true: "identity differs; "}[c.differs]+"NOTIFY c1" {
					t.Error(s)
				}
				r.server.send(serverSide, strings.Replace(notify(), "server1", "server2", 1))
				r.core.want("NOTIFY")
				if s := r.monitor.told(); s != "NOTIFY c1" {
					t.Error("the mark outlives its message: ", s)
				}
			})
		})
	}
}
