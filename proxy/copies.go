package proxy

import (
	"bytes"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// copies does what is done with a copy of a message: a request that is kept, or that came
// back. Each time it takes a workspace of its own, because another message may be at hand.
type copies struct{ s *Server }

// answerEnded answers a request whose transaction is over.
func (c copies) answerEnded(e transaction.Effect, status int, reason string) {
	own := c.s.borrow()
	defer c.s.giveBack(own)
	if !own.Load(e.Text) {
		return
	}
	var extra []string
	from := c.s.flowOf(e.From)
	switch {
	case e.End == transaction.Crowded:
		extra = []string{retryAfter(&own.Draft)}
	case status == 503:
		extra = come(&own.Draft, from)
	}
	if b, ok := own.Answer(from.addr, status, reason, extra...); ok {
		c.s.table.Answered(e.Key, b)
		own.sendBack(from, b)
	}
}

// answerFor gives the server what the Monitor says, at once or when that is safe.
func (c copies) answerFor(e transaction.Effect, v dialogs.Verdict) {
	if !v.Safely {
		c.answerEnded(e, v.Status, v.Reason)
		return
	}
	c.s.cfg.Monitor.Safe(func() { c.answerEnded(e, v.Status, v.Reason) })
}

// headOf is the request as it was forwarded, start line and headers without our
// Via; nil if that is not kept.
func (c copies) headOf(e transaction.Effect) []byte {
	if !c.s.cfg.KeepHeads {
		return nil
	}
	w := c.s.borrow()
	defer c.s.giveBack(w)
	if !w.Load(e.Text) {
		return nil
	}
	w.route(c.s.flowOf(e.From))
	return w.Edits.AppendRange(nil, w.Msg.Raw, 0, w.Msg.Body)
}

// bounce answers a request that has no record, from its bytes as they were to leave.
func (c copies) bounce(b draft.Branch, raw []byte, status int, reason string) {
	w := c.s.borrow()
	defer c.s.giveBack(w)
	if b.Local >= len(c.s.locals) || !w.Load(raw) || bytes.Equal(w.Msg.Method, mACK) {
		return
	}
	var extra []string
	if status == 503 {
		extra = come(&w.Draft, flow{local: c.s.locals[b.Local]})
	}
	answer, ok := w.Answer(netip.AddrPort{}, status, reason, extra...)
	if !ok {
		return
	}
	// It is passed on as if the hop had sent it: our Via goes, the next one leads.
	back := c.s.borrow()
	defer c.s.giveBack(back)
	if wire.Scan(answer, &back.Msg) != nil {
		return
	}
	c.s.metrics.refused(refusedUnavailable)
	c.s.metrics.response(c.s.locals[b.Local].side, answer)
	if back.relayable(b) {
		back.relay(b)
	}
}

// trying answers 100 at once: the client retransmits an INVITE, or waits no longer
// than Timer B, until it hears something, and retransmissions end here.
func (c copies) trying(raw []byte, from flow, since transaction.Moment) {
	own := c.s.borrow()
	defer c.s.giveBack(own)
	if own.Load(raw) {
		own.sendTrying(from, since)
	}
}

// sendTrying answers 100 to the request at hand, which came a while ago.
func (w *worker) sendTrying(from flow, since transaction.Moment) {
	w.Delay = since.Until(w.at)
	b, ok := w.Answer(from.addr, 100, "Trying")
	w.Delay = 0
	if ok {
		w.sendBack(from, b)
	}
}

// resend sends what is kept: the request, a 100 or the answer.
func (c copies) resend(e transaction.Effect) {
	own := c.s.borrow()
	defer c.s.giveBack(own)
	if !own.Load(e.Text) {
		return
	}
	from := c.s.flowOf(e.From)
	if e.Do.Has(transaction.Answer) {
		own.sendBack(from, e.Text)
		return
	}
	if e.Do.Has(transaction.Trying) {
		own.sendTrying(from, e.Since)
	}
	if e.Do.Has(transaction.Send) {
		key := e.Key
		if e.Kind == transaction.Cancel {
			key ^= cancelTwist
		}
		own.route(from)
		own.emitRecorded(from, ticket{key: key, loop: e.Loop, attempt: e.Attempt, record: e.Key}, e.Hop)
	}
}
