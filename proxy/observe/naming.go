package observe

import (
	"net/netip"
	"sync"

	"rewatch/dialogs/aor"
	"rewatch/proxy/wire"
)

// Naming says which field names the watcher of a SUBSCRIBE.
type Naming uint8

const (
	// ByHop: the asserted identity, if the neighbour has ever asserted one, else From.
	ByHop Naming = iota
	// ByAssertion: P-Asserted-Identity alone (RFC 3325).
	ByAssertion
	// ByFrom: From alone, which a phone writes.
	ByFrom
)

// maxNamers bounds the neighbours that are remembered.
const maxNamers = 1024

// Namers knows which neighbours assert identities. If such a neighbour forwards a request
// without an asserted identity, nobody vouches for its From, which the phone wrote. Its methods
// may be called from any goroutine.
type Namers struct {
	rule Naming
	// believed is told once of each neighbour whose From is believed.
	believed func(netip.Addr)
	// Learnt, if set before the first message, is told of a neighbour that asserts an
	// identity for the first time. It must not block.
	Learnt func(netip.Addr)

	mu sync.RWMutex
	// asserts has those that are known: true: it asserts, false: its From is believed.
	asserts map[netip.Addr]bool
	// makes has those that have made a third-party REGISTER.
	makes map[netip.Addr]struct{}
}

// NewNamers makes Namers with a rule. believed is told once of each neighbour whose From is
// believed.
func NewNamers(rule Naming, believed func(netip.Addr)) *Namers {
	return &Namers{rule: rule, believed: believed}
}

// of gives the identities that name the watcher. unasserted: nobody vouches for the watcher.
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

// PassedOn tells whether a neighbour that makes third-party REGISTERs, as an S-CSCF does (TS 24.229
// 5.4.1.7), has not made this one: it has more than one Via. Then a phone may have written it, and
// nobody vouches for it: P-Asserted-Identity has no place in a REGISTER (RFC 3325 9.1).
func (n *Namers) PassedOn(neighbour netip.Addr, register *wire.Message) bool {
	if n.rule == ByFrom || !several(register.Values(wire.Via)) {
		return false
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, makes := n.makes[neighbour]
	return makes
}

// made notes that a neighbour has made a third-party REGISTER, if it has.
func (n *Namers) made(neighbour netip.Addr, register *wire.Message) {
	if several(register.Values(wire.Via)) {
		return
	}
	n.mu.RLock()
	_, known := n.makes[neighbour]
	full := len(n.makes) >= maxNamers
	n.mu.RUnlock()
	if known || full {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.makes == nil {
		n.makes = make(map[netip.Addr]struct{})
	}
	n.makes[neighbour] = struct{}{}
}

func several(values wire.Values) bool {
	_, _, one := values.Next()
	_, _, two := values.Next()
	return one && two
}

// Restore adds a neighbour that has asserted identities before a restart, so that until its
// next assertion no phone behind it can use the From of another user. false: there are too
// many.
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

// Len is the number of neighbours that are known.
func (n *Namers) Len() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.asserts)
}
