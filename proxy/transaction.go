package proxy

import (
	"bytes"

	"rewatch/dialogs"
	"rewatch/proxy/metrics"
	"rewatch/proxy/transaction"
)

// track begins the transaction of the request at hand, which is sent to the hops of the
// router; false: there is one already. ref is the subscription of a NOTIFY. held: it is a
// CANCEL that has to wait for a provisional response.
func (w *worker) track(from flow, t ticket, ref dialogs.Ref, held bool) bool {
	q := transaction.Request{
		Kind: from.kind(w.Msg.Method), From: from.origin(), Subject: uint64(ref), Loop: t.loop, Attempt: t.attempt, Hops: w.router.Hops, Held: held,
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

// kindOf is the kind of transaction of a method.
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

// again handles the retransmission of a request whose transaction is recorded; false: the
// request is new.
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

// performed are the actions that perform carries out.
const performed = transaction.Bad | transaction.NoTCP | transaction.Postponed | transaction.Send | transaction.Trying | transaction.Answer

// perform carries out the actions of a transaction that do not need the response at hand.
func (w *worker) perform(e transaction.Effect) {
	if e.Do.Has(transaction.Bad) {
		w.s.routing.Bad.Add(e.Failed.Addr, w.now)
	}
	if e.Do.Has(transaction.NoTCP) {
		w.s.noTCP.Add(e.Failed.Addr, w.now)
	}
	if e.Do.Has(transaction.Postponed) {
		w.s.metrics.Dropped(metrics.DropBacklog, 1)
	}
	if e.Do&(transaction.Send|transaction.Trying|transaction.Answer) != 0 {
		w.s.resend(e)
	}
}

// cancelTwist tells the key of a CANCEL from that of its INVITE, which has the same branch.
const cancelTwist = 0x9e3779b97f4a7c15

// recordKey is the key of the record of a request.
func recordKey(key uint64, method []byte) uint64 {
	if string(method) == "CANCEL" {
		return key ^ cancelTwist
	}
	return key
}
