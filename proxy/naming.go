package proxy

import (
	"net/netip"
	"sync"

	"rewatch/dialogs/aor"
)

// Naming says what names the watcher of a SUBSCRIBE.
type Naming uint8

const (
	// NamedByHop is by what its neighbour asserts, as soon as that has asserted anything,
	// before that by From.
	NamedByHop Naming = iota
	// NamedByAssertion is by P-Asserted-Identity alone (RFC 3325).
	NamedByAssertion
	// NamedByFrom is by From alone, which a phone writes.
	NamedByFrom
)

// maxNamers bounds the neighbours that are remembered.
const maxNamers = 1024

// namers knows which neighbours assert identities. What a neighbour that does so lets pass
// without one is nobody's word: From is the phone's own.
type namers struct {
	rule Naming
	// believed is told, once for each, of a neighbour whose From is believed.
	believed func(netip.Addr)

	mu sync.RWMutex
	// asserts has those that are known: true: it asserts, false: its From is believed.
	asserts map[netip.Addr]bool
}

// of gives the identities by which the watcher is named, and whether nobody vouches for it.
func (n *namers) of(neighbour netip.Addr, identities [][]byte) (named [][]byte, unasserted bool) {
	switch n.rule {
	case NamedByFrom:
		return nil, false
	case NamedByAssertion:
		return identities, !aor.Readable(identities)
	case NamedByHop:
	}
	asserted := aor.Readable(identities)
	n.mu.RLock()
	asserts, known := n.asserts[neighbour]
	n.mu.RUnlock()
	if known && (asserts || !asserted) {
		return identities, asserts && !asserted
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asserts == nil {
		n.asserts = make(map[netip.Addr]bool)
	}
	if known || len(n.asserts) < maxNamers {
		n.asserts[neighbour] = asserted
	}
	if !asserted && n.believed != nil {
		n.believed(neighbour)
	}
	return identities, false
}

// FromBelieved tells whether the From of any neighbour is believed.
func (s *Server) FromBelieved() bool {
	n := &s.namers
	if n.rule != NamedByHop {
		return n.rule == NamedByFrom
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, asserts := range n.asserts {
		if !asserts {
			return true
		}
	}
	return false
}

// believed warns of a neighbour whose From is believed.
func (s *Server) believed(neighbour netip.Addr) {
	s.log.Warn().Stringer("neighbour", neighbour).
		Msg("a SUBSCRIBE came without P-Asserted-Identity, so its From names the watcher, and a phone can write that of another; see REWATCH_IDENTITY_FROM")
}
