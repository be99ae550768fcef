package proxy

import (
	"bytes"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// origin is a flow as a transaction remembers it.
func (f flow) origin() transaction.Origin {
	return transaction.Origin{
		Addr: f.addr, At: f.at, Stream: f.stream, Local: uint8(f.local.index), //nolint:gosec // New bounds the sockets
		Reliable: f.local.transport.Reliable(),
	}
}

// track begins the transaction of the request at hand, which goes to w.hops; false:
// there is one already. ref is the subscription of a NOTIFY. held: it is a CANCEL that
// has to wait.
func (w *worker) track(from flow, t ticket, ref dialogs.Ref, held bool) bool {
	q := transaction.Request{
		Kind: from.kind(w.Msg.Method), From: from.origin(), Subject: uint64(ref), Loop: t.loop, Attempt: t.attempt, Hops: w.hops, Held: held,
	}
	q.CSeq, _, _ = w.Msg.CSeqValue()
	q.From.Own = t.told
	q.Whole = held || ref == ofRegister && q.Kind == transaction.Other || q.From.Reliable || len(q.Hops) > 1 || q.Hops[0].Transport.Reliable() ||
		q.Kind == transaction.Notify && w.s.cfg.Retry && !w.s.table.Crowded()
	text := w.Msg.Raw
	switch {
	case q.Whole:
	case q.Kind == transaction.Notify && w.s.cfg.KeepHeads:
		text = text[:w.Msg.Body]
	default:
		text = w.Skeleton()
	}
	return w.s.table.Begin(t.record, w.at, &q, text)
}

// notifies tells whether a request of this flow is a NOTIFY that is judged.
func (f flow) notifies(method []byte) bool {
	return f.side() == dialogs.Server && bytes.Equal(method, mNOTIFY)
}

// kind is what a request of this flow is about.
func (f flow) kind(method []byte) transaction.Kind {
	if k := kindOf(method); k != transaction.Notify || f.notifies(method) {
		return k
	}
	return transaction.Other
}

// kindOf is what a method is about, whoever sent it.
func kindOf(method []byte) transaction.Kind {
	switch string(method) {
	case "NOTIFY":
		return transaction.Notify
	case "INVITE":
		return transaction.Invite
	case "CANCEL":
		return transaction.Cancel
	}
	return transaction.Other
}

// again handles a request that belongs to an open transaction, or to one that was
// answered; false: it is new.
func (w *worker) again(from flow, t ticket) bool {
	if bytes.Equal(w.Msg.Method, mACK) {
		return false
	}
	t.record = recordKey(t.key, w.Msg.Method)
	e := w.s.table.Repeat(t.record, from.origin(), w.Build[:0])
	switch {
	case !e.Known:
		return false
	case e.Kind == transaction.Cancel && e.From.Own:
		w.refuse(from, 200, "OK")
	case e.Do.Has(transaction.Answer):
		w.Build = e.Text
		w.sendBack(from, w.Build)
	case e.Do.Has(transaction.Trying):
		w.sendTrying(from, t.since)
	case e.Do.Has(transaction.Forward):
		t.attempt = e.Attempt
		w.route(from)
		w.emitRecorded(from, t, e.Hop)
	}
	return true
}

// forCarry are the actions that carry does.
const forCarry = transaction.Bad | transaction.NoTCP | transaction.Postponed | transaction.Send | transaction.Trying | transaction.Answer

// carry does what follows from an event, but for what is done with a response at hand.
func (w *worker) carry(e transaction.Effect) {
	if e.Do.Has(transaction.Bad) {
		w.s.badHops.Add(e.Failed.Addr, w.now)
	}
	if e.Do.Has(transaction.NoTCP) {
		w.s.noTCP.Add(e.Failed.Addr, w.now)
	}
	if e.Do.Has(transaction.Postponed) {
		w.s.metrics.dropped(dropBacklog, 1)
	}
	if e.Do&(transaction.Send|transaction.Trying|transaction.Answer) != 0 {
		w.s.resend(e)
	}
}

// acknowledge sends the ACK of the failure at hand, which is rewatch's to send as the
// client of that transaction (RFC 3261 17.1.1.3): to where the INVITE went, with its
// Route, and with the Via and To of the response. b is the branch of the response.
func (w *worker) acknowledge(from flow, b draft.Branch, e transaction.Effect) {
	own := w.s.borrow()
	defer w.s.giveBack(own)
	if !own.Load(e.Text) || !own.Msg.Request {
		return
	}
	own.route(w.s.flowOf(e.From))
	var sent wire.Message
	if wire.Scan(own.Edits.AppendTo(nil, own.Msg.Raw), &sent) != nil {
		return
	}
	hop, present := e.Hop, e.Attempt
	if e.Do.Has(transaction.Send) {
		hop, present = e.Failed, present-1
	}
	if b.Attempt != present { // the answer of a hop that was left comes again
		hop.Addr, hop.Transport = from.addr, from.local.transport
	}
	own.Build = draft.AppendACK(own.Build[:0], &sent, &w.Msg)
	own.sendACK(from.local, hop, own.Build)
}

// cancelTwist sets the record of a CANCEL apart from that of its INVITE, with
// which it shares the branch.
const cancelTwist = 0x9e3779b97f4a7c15

// recordKey is where the record of a request is found.
func recordKey(key uint64, method []byte) uint64 {
	if string(method) == "CANCEL" {
		return key ^ cancelTwist
	}
	return key
}
