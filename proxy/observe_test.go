package proxy

import (
	"net/netip"
	"testing"

	"rewatch/dialogs"
)

// sources is a Monitor that notes where SUBSCRIBEs came from.
type sources struct {
	*monitor
	seen []netip.AddrPort
}

func (s *sources) Subscribe(m *dialogs.Message) dialogs.Ruling {
	s.seen = append(s.seen, m.Source)
	return dialogs.Ruling{}
}

// TestNeighbour: a request of ours cannot go to the port that a connection came
// from; it has to go where the neighbour listens.
func TestNeighbour(t *testing.T) {
	m := &sources{monitor: &monitor{}}
	play(t, func(r *rig) {
		r.core.send(coreSide, request("SUBSCRIBE", "sip:bob@ims.example", "SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKn1"))
		x := r.dial("10.0.0.2", coreSide)
		x.send(request("SUBSCRIBE", "sip:bob@ims.example", "SIP/2.0/TCP core.ims.example:5066;branch=z9hG4bKn2"))
		want := []netip.AddrPort{netip.MustParseAddrPort(coreAddr), netip.MustParseAddrPort("10.0.0.2:5066")}
		if len(m.seen) != 2 || m.seen[0] != want[0] || m.seen[1] != want[1] {
			r.Errorf("sources %v, want %v", m.seen, want)
		}
	}, func(c *Config) { c.Monitor = m })
}
