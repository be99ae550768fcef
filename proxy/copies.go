package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/metrics"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// copies handles copies of messages: of a request that is kept, or that came back. Each
// method borrows a worker, because the caller may have another message at hand.
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
	case status == 503 && e.Refusal != nil && e.Refusal.Wait >= 0:
		extra = []string{fmt.Sprint("Retry-After: ", int(e.Refusal.Wait/time.Second))}
	case status == 503:
		extra = registerRetryAfter(&own.Draft, from)
	}
	if b, ok := own.Answer(from.addr, status, reason, extra...); ok {
		c.s.table.Answered(e.Key, b)
		own.sendBack(from, b)
	}
}

// answerFor answers the server as the Monitor decided: at once, or when the Monitor has saved
// what it knows.
func (c copies) answerFor(e transaction.Effect, v dialogs.Verdict) {
	if !v.Safely {
		c.answerEnded(e, v.Status, v.Reason)
		return
	}
	c.s.cfg.Monitor.Safe(func() { c.answerEnded(e, v.Status, v.Reason) })
}

// headOf is the start line and the headers of a request as it was forwarded, without our Via;
// nil if they are not kept.
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

// bounce answers a request that has no record. raw is the request as it would have been
// sent.
func (c copies) bounce(b draft.Branch, raw []byte, status int, reason string) {
	w := c.s.borrow()
	defer c.s.giveBack(w)
	if b.Local >= len(c.s.sockets.All) || !w.Load(raw) || bytes.Equal(w.Msg.Method, mACK) {
		return
	}
	var extra []string
	if status == 503 {
		extra = registerRetryAfter(&w.Draft, flow{socket: c.s.sockets.All[b.Local]})
	}
	answer, ok := w.Answer(netip.AddrPort{}, status, reason, extra...)
	if !ok {
		return
	}
	// The answer is forwarded as if the hop had sent it: our Via is removed, the next one
	// says where it goes.
	back := c.s.borrow()
	defer c.s.giveBack(back)
	if wire.Scan(answer, &back.Msg) != nil {
		return
	}
	c.s.metrics.Refused(metrics.RefusedUnavailable)
	c.s.metrics.Response(c.s.sockets.All[b.Local].Side, answer)
	if back.relayable(b) {
		back.relay(b)
	}
}

// trying answers 100 at once: the client retransmits an INVITE, or waits no longer
// than Timer B, until it gets a response, and its retransmissions are not forwarded.
func (c copies) trying(raw []byte, from flow, since transaction.Moment) {
	c.resend(transaction.Effect{Do: transaction.Trying, From: from.origin(), Since: since, Text: raw})
}

// sendTrying answers 100 to the request at hand, which came at since.
func (w *worker) sendTrying(from flow, since transaction.Moment) {
	w.Delay = since.Until(w.at)
	b, ok := w.Answer(from.addr, 100, "Trying")
	w.Delay = 0
	if ok {
		w.sendBack(from, b)
	}
}

// resend sends what a transaction asks for: its request, a 100 or its answer.
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

// acknowledge sends the ACK of a failure, which is rewatch's to send as the
// client of that transaction (RFC 3261 17.1.1.3): to where the INVITE went, with its
// Route, and with the Via and To of the response. b is the branch of the response.
func (c copies) acknowledge(response *wire.Message, from flow, b draft.Branch, e transaction.Effect) {
	own := c.s.borrow()
	defer c.s.giveBack(own)
	if !own.Load(e.Text) || !own.Msg.Request {
		return
	}
	own.route(c.s.flowOf(e.From))
	var sent wire.Message
	if wire.Scan(own.Edits.AppendTo(nil, own.Msg.Raw), &sent) != nil {
		return
	}
	hop, present := e.Hop, e.Attempt
	if e.Do.Has(transaction.Send) {
		hop, present = e.Failed, present-1
	}
	if b.Attempt != present { // an earlier hop has repeated its response
		hop.Addr, hop.Transport = from.addr, from.socket.Transport
	}
	own.Build = draft.AppendACK(own.Build[:0], &sent, response)
	own.out.SendACK(from.socket, hop, own.Build)
}
