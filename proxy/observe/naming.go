package observe

import (
	"net/netip"
	"sync"

	"rewatch/dialogs/aor"
)

// Naming says what names the watcher of a SUBSCRIBE.
type Naming uint8

const (
	// ByHop is by what its neighbour asserts, as soon as that has asserted anything,
	// before that by From.
	ByHop Naming = iota
	// ByAssertion is by P-Asserted-Identity alone (RFC 3325).
	ByAssertion
	// ByFrom is by From alone, which a phone writes.
	ByFrom
)

// maxNamers bounds the neighbours that are remembered.
const maxNamers = 1024

// Namers knows which neighbours assert identities. What a neighbour that does so lets pass
// without one is nobody's word: From is the phone's own. Its methods may be called from any
// goroutine.
type Namers struct {
	rule Naming
	// believed is told, once for each, of a neighbour whose From is believed.
	believed func(netip.Addr)
	// Learnt, if set before the first message, is told of a neighbour that asserts an
	// identity for the first time. It must not block.
	Learnt func(netip.Addr)

	mu sync.RWMutex
	// asserts has those that are known: true: it asserts, false: its From is believed.
	asserts map[netip.Addr]bool
}

// NewNamers makes Namers that go by a rule. believed is told, once for each, of a neighbour
// whose From is believed.
func NewNamers(rule Naming, believed func(netip.Addr)) *Namers {
	return &Namers{rule: rule, believed: believed}
}

// of gives the identities by which the watcher is named, and whether nobody vouches for it.
func (n *Namers) of(neighbour netip.Addr, identities [][]byte) (named [][]byte, unasserted bool) {
	switch n.rule {
	case ByFrom:
		return nil, false
	case ByAssertion:
		return identities, !aor.Readable(identities)
	case ByHop:
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
		if asserted && n.Learnt != nil {
			n.Learnt(neighbour)
		}
	}
	if !asserted && n.believed != nil {
		n.believed(neighbour)
	}
	return identities, false
}

// Restore takes up a neighbour that has asserted identities before: between a restart and
// its next assertion a phone behind it cannot write another's From either. false: there are
// too many.
func (n *Namers) Restore(neighbour netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asserts == nil {
		n.asserts = make(map[netip.Addr]bool)
	}
	if len(n.asserts) >= maxNamers {
		return false
	}
	n.asserts[neighbour] = true
	return true
}

// FromBelieved tells whether the From of any neighbour is believed.
func (n *Namers) FromBelieved() bool {
	if n.rule != ByHop {
		return n.rule == ByFrom
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

// Len is how many neighbours are known.
func (n *Namers) Len() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.asserts)
}
