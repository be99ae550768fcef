package proxy

import (
	"bytes"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/proxy/draft"
	"rewatch/proxy/observe"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// A third-party REGISTER must not fail: an S-CSCF that gets 503 or no response may sign the
// user out of everything (TS 24.229 5.4.1.7). Where Config.Registers is set, rewatch answers
// it with 200 and the expiry that it asks for when the server cannot be reached, and keeps it.
// A REGISTER that is open when the server goes down is answered then.

// ofRegister marks the transaction of such a REGISTER. It is no subscription.
const ofRegister dialogs.Ref = 1

// parties has room for the canonical addresses of a REGISTER.
type parties struct{ user, sender []byte }

// thirdParty gives the user whose registration a request tells the server of, as a canonical
// address; false: it is no third-party REGISTER. A REGISTER of the user itself is none: only
// the registrar can check who sent it. Nor is one that the core asserts to be a user's, or one that it
// has only passed on.
func (p *parties) thirdParty(m *wire.Message, from flow, namers *observe.Namers) (user []byte, ok bool) {
	if from.side() != dialogs.Core || !bytes.Equal(m.Method, mREGISTER) || asserted(m) || namers.PassedOn(from.addr.Addr(), m) {
		return nil, false
	}
	to, tag := m.Party(wire.To)
	sender, _ := m.Party(wire.From)
	if p.user, ok = aor.Append(p.user[:0], to); !ok || len(tag) > 0 {
		return nil, false
	}
	p.sender, ok = aor.Append(p.sender[:0], sender)
	return p.user, !ok || !bytes.Equal(p.sender, p.user)
}

// asserted tells whether the core asserts that a message comes from a user.
func asserted(m *wire.Message) bool {
	for values := m.Values(wire.PAssertedIdentity); ; {
		v, _, ok := values.Next()
		if !ok {
			return false
		}
		if uri, _, _ := wire.Address(v); aor.NamesUser([][]byte{uri}) {
			return true
		}
	}
}

// fallsBack tells whether rewatch answers the request at hand if the server cannot be reached.
func (w *worker) fallsBack(from flow) bool {
	if w.s.cfg.Registers == nil || !w.way.Server || !w.s.cfg.Registers.On() {
		return false
	}
	_, ok := w.thirdParty(&w.Msg, from, w.s.cfg.Namers)
	return ok
}

// mustWait tells whether the request at hand is a REGISTER that is kept without being sent:
// because the server is down, or because an older REGISTER of the same user is kept, and the
// server has to receive them in order.
func (w *worker) mustWait(from flow) bool {
	return w.fallsBack(from) && (w.s.health.Down() || w.s.cfg.Registers.Keeps(w.user))
}

// registerRetryAfter is the Retry-After of a 503 to a REGISTER of the core: an S-CSCF that
// knows when to send it again need not sign out the user. It is empty for all other requests.
func registerRetryAfter(d *draft.Draft, from flow) []string {
	if from.side() != dialogs.Core || !bytes.Equal(d.Msg.Method, mREGISTER) {
		return nil
	}
	return []string{retryAfter(d)}
}

// registerFallback answers the request at hand in the place of the server; false: it is no
// REGISTER that falls back.
func (w *worker) registerFallback(from flow) bool {
	if !w.fallsBack(from) {
		return false
	}
	if !w.ruled(from) {
		return true // ruled has answered it
	}
	if b, ok := w.s.register(w.Msg.Raw, from); ok {
		w.sendBack(from, b)
	}
	return true
}

// registerFallbackAfter is registerFallback for a transaction that got no response.
func (c copies) registerFallbackAfter(e transaction.Effect) bool {
	s := c.s
	if s.cfg.Registers == nil || !s.cfg.Registers.On() || !e.Whole || e.End == transaction.Responded || e.End == transaction.TooLong {
		return false
	}
	from := s.flowOf(e.From)
	b, ok := s.register(e.Text, from)
	if !ok {
		return false
	}
	s.table.Answered(e.Key, b)
	own := s.borrow()
	defer s.giveBack(own)
	if own.Load(e.Text) {
		own.sendBack(from, b)
	}
	return true
}

// register keeps a REGISTER and makes the 200 that the server would send, with the Contact
// and Expires of the request (TS 24.229 5.7.1.1).
func (c copies) register(raw []byte, from flow) (answer []byte, ok bool) {
	s := c.s
	w := s.borrow()
	defer s.giveBack(w)
	if !w.Load(raw) {
		return nil, false
	}
	user, ok := w.thirdParty(&w.Msg, from, s.cfg.Namers)
	if !ok {
		return nil, false
	}
	w.route(from) // removes our Route
	w.CountDown()
	w.ContentLength()
	seen := w.observe(from)
	s.cfg.Registers.Keep(user, w.Edits.AppendTo(nil, raw), longest(seen), w.now)
	seen.Status, seen.Reason = 200, []byte("OK")
	s.cfg.Monitor.RegisterDone(seen)
	var lines []string
	for i := range w.Msg.Lines {
		if l := &w.Msg.Lines[i]; l.Name == wire.Contact || l.Name == wire.Expires {
			lines = append(lines, string(raw[l.Start:l.ValueEnd]))
		}
	}
	b, ok := w.Answer(from.addr, 200, "OK", lines...)
	return bytes.Clone(b), ok
}

// longest is how long a REGISTER lasts, in seconds: the longest of its Contacts, each with its
// expires parameter or else the Expires field (RFC 3261 10.2.1.1); -1: the REGISTER does not
// say.
func longest(m *dialogs.Message) int {
	if len(m.Contacts) == 0 {
		return m.Expires
	}
	n := -1
	for i := range m.Contacts {
		own := m.Contacts[i].Expires
		if own < 0 {
			own = m.Expires
		}
		n = max(n, own)
	}
	return n
}

// abandonRegisters answers the REGISTERs that are open when the server goes down.
func (s *Server) abandonRegisters() {
	if s.cfg.Registers == nil || !s.cfg.Registers.On() {
		return
	}
	w := s.borrow()
	defer s.giveBack(w)
	w.Msg = wire.Message{} // none is at hand
	for _, e := range s.table.Abandon(uint64(ofRegister), transaction.Other, w.at) {
		w.conclude(e)
	}
}
