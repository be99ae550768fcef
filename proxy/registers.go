package proxy

import (
	"bytes"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/proxy/draft"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// A third-party REGISTER is sacred: an S-CSCF that gets 503 or nothing for it may sign the
// user out of everything (TS 24.229 5.4.1.7). Where Config.Registers is set it is answered
// here with its own expiry when the server cannot be reached, and kept; one that is open
// when the server goes down is answered then.

// ofRegister is the subject of the transaction of such a REGISTER. It is no subscription.
const ofRegister dialogs.Ref = 1

// parties has room for the addresses of a REGISTER, canonical.
type parties struct{ user, sender []byte }

// thirdParty gives the user of whom the request at hand tells the server, canonical; false:
// it is no third-party REGISTER. A user's own REGISTER is not: whether it is the user
// that sends it only the registrar can say.
func (p *parties) thirdParty(m *wire.Message, from flow) (user []byte, ok bool) {
	if from.side() != dialogs.Core || !bytes.Equal(m.Method, mREGISTER) {
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

// registers tells whether the request at hand is one that is answered here if the server
// cannot be reached.
func (w *worker) registers(from flow) bool {
	if w.s.cfg.Registers == nil || !w.way.Server || !w.s.cfg.Registers.On() {
		return false
	}
	_, ok := w.thirdParty(&w.Msg, from)
	return ok
}

// waits tells whether the request at hand is one of those that the server has later:
// because it is down, of which such a REGISTER makes no trial, or because an older one of
// the same user is kept, after which it has to arrive.
func (w *worker) waits(from flow) bool {
	return w.registers(from) && (w.s.health.Down() || w.s.cfg.Registers.Keeps(w.user))
}

// come is the Retry-After of a 503 to a REGISTER of the core: an S-CSCF that knows when to
// come again need not sign out anybody. It is empty for all others.
func come(d *draft.Draft, from flow) []string {
	if from.side() != dialogs.Core || !bytes.Equal(d.Msg.Method, mREGISTER) {
		return nil
	}
	return []string{retryAfter(d)}
}

// standIn answers the request at hand in the place of the server; false: it is none of
// those that are.
func (w *worker) standIn(from flow) bool {
	if !w.registers(from) {
		return false
	}
	if !w.ruled(from) {
		return true // it is answered
	}
	if b, ok := w.s.register(w.Msg.Raw, from); ok {
		w.sendBack(from, b)
	}
	return true
}

// standInAfter is standIn when a transaction has got no response; false as there.
func (c copies) standInAfter(e transaction.Effect) bool {
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

// register keeps a REGISTER and makes the answer of the server, which says what was asked
// for (TS 24.229 5.7.1.1).
func (c copies) register(raw []byte, from flow) (answer []byte, ok bool) {
	s := c.s
	w := s.borrow()
	defer s.giveBack(w)
	if !w.Load(raw) {
		return nil, false
	}
	user, ok := w.thirdParty(&w.Msg, from)
	if !ok {
		return nil, false
	}
	w.route(from) // our Route goes
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

// longest is how long a REGISTER lasts, in seconds: its longest Contact, which counts before
// the header (RFC 3261 10.2.1.1); -1: not told.
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

// abandonRegisters answers those that are open when the server has gone.
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
