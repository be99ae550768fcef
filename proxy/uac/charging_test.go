package uac

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
)

// P-Charging-Vector names the network that the MESSAGE comes from, by the domain of the
// identity (RFC 7315 4.6); an identity without a domain names none.
func TestOriginatingNetwork(t *testing.T) {
	for identity, want := range map[string]string{
		"sip:rewatch@ims.example": "ims.example", "sips:ims.example:5061;lr": "ims.example", "tel:+4930": "", "sip:rewatch@[2001:db8::1]:5060": "[2001:db8::1]",
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, always("200 OK"), func(c *Config) { c.Identity = identity })
			if r := p.client.Message(context.Background(), alice); !r.OK() {
				t.Fatalf("%+v", r)
			}
			vector := header(p.done()[0].text, "P-Charging-Vector")
			_, network, _ := strings.Cut(vector, ";orig-ioi=")
			if network != want || !strings.HasPrefix(vector, `icid-value="`) || !strings.Contains(vector, ";icid-generated-at=10.0.0.1") {
				t.Errorf("%s: %s", identity, vector)
			}
		})
	}
}
