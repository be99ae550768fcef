package proxy

import (
	"bytes"

	"rewatch/dialogs"
	"rewatch/proxy/wire"
)

// returned tells whether the request at hand is a MESSAGE of our own that the core
// has sent back: its filter criteria name this application server for whatever
// goes to the user.
//
// It is answered 482, which is what it is (RFC 3261 21.4.19), and goes no further.
// To let the server have it would begin a circle, or have it told to subscribe in
// the place of its watcher; to answer 200 would say that the watcher was told. The
// 482 comes back to package uac, which takes no response for a failure of the
// watcher's to a MESSAGE that was seen here.
//
// It is known by our Via, and where the core has replaced that, by the tag of its
// From. Only MESSAGE is looked at: a REGISTER of our own may well lead by way of
// the core to a server that is the registrar.
func (w *worker) returned(from flow) bool {
	m := &w.msg
	if w.s.cfg.OwnReturned == nil || from.side() != dialogs.Core || !bytes.Equal(m.Method, mMESSAGE) {
		return false
	}
	v, _ := m.Value(wire.From)
	return w.s.cfg.OwnReturned(wire.Tag(v), w.ownVias(), from.addr)
}

// ownVias tells whether a request of our own has become the one at hand.
func (w *worker) ownVias() bool {
	for i := w.msg.First(wire.Via); i >= 0; i = w.msg.Next(i) {
		for v := w.msg.At(i); bytes.Contains(v, w.s.ownPrefix); {
			value, next := wire.Split(v)
			via, ok := wire.ParseVia(value)
			if ok && bytes.HasPrefix(via.Branch, w.s.ownPrefix) && w.s.ownVia(&via) {
				return true
			}
			if next < 0 {
				break
			}
			v = v[next:]
		}
	}
	return false
}
