package recovery

import "net/netip"

// MayTry says whether a NOTIFY that is kept for its phone may be tried by a hop now:
// where it is not held, and a few times where it has answered OPTIONS.
func (e *Engine) MayTry(hop netip.AddrPort) bool {
	name := hopName(hop)
	return !e.hold.held(name) || e.hold.goAhead(name)
}
