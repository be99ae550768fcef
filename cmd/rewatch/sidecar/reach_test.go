package sidecar

import (
	"net/netip"
	"testing"
	"time"

	"rewatch/dialogs/store"
	"rewatch/proxy/observe"
)

// What the server has named, and which neighbours assert identities, is kept and taken up
// again, each for what it is.
func TestHostsOutliveTheProcess(t *testing.T) {
	p := builtProcess(t)
	p.keeper.Start(t.Context())
	p.hostNamed("10.1.0.7:5080", time.Now().Add(time.Hour))
	p.hostNamed("10.1.0.8:5080", time.Now().Add(time.Hour))
	p.hostNamed("10.1.0.8:5080", time.Time{})
	p.namers.Learnt(netip.MustParseAddr("10.0.0.2"))
	if err := p.keeper.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept := map[string]string{}
	for e, err := range p.memory.journal.Entries(t.Context(), store.KindHost) {
		if err != nil {
			t.Fatal(err)
		}
		kept[e.Key] = string(e.Value)
	}
	if len(kept) != 2 || kept["10.1.0.7:5080"] != hostNamed || kept["10.0.0.2"] != hostAsserts {
		t.Errorf("%q", kept)
	}
	p.namers = observe.NewNamers(observe.ByHop, nil)
	if err := p.recallHosts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.namers.Len() != 1 || p.namers.FromBelieved() {
		t.Errorf("%d neighbours are known", p.namers.Len())
	}
}
