package own

import (
	"bytes"
	"errors"
	"slices"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
	"rewatch/proxy/socket"
	"rewatch/proxy/transport"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// SentBy is the sent-by in the Via of a request that is sent to a hop of a side; false: no
// socket of that side reaches the hop.
func (o *Requests) SentBy(side dialogs.Side, h resolve.Hop) (string, bool) {
	l := o.sockets.For(side, h.Transport, h.Addr.Addr(), nil)
	if l == nil {
		return "", false
	}
	return l.SentBy, true
}

// Send sends a request to a hop. alone: over a connection of its own, because a request that is
// stuck on the shared connection says nothing about the hop. raw is not kept.
func (o *Requests) Send(side dialogs.Side, h resolve.Hop, raw []byte, alone bool) error {
	l := o.sockets.For(side, h.Transport, h.Addr.Addr(), nil)
	if l == nil {
		return route.ErrNoSocket
	}
	if h.Transport.Reliable() {
		return o.sendOver(l, h, raw, alone)
	}
	box := o.boxes.Get().(*datagram.Outbox) //nolint:forcetypeassert // the pool holds nothing else
	defer o.boxes.Put(box)
	box.Add(raw, h.Addr)
	_, err := o.sockets.Send(l, box)
	return err
}

func (o *Requests) sendOver(l *socket.Socket, h resolve.Hop, raw []byte, alone bool) error {
	connect := o.sockets.Streams[l.Side].To
	if alone {
		connect = o.sockets.Streams[l.Side].Alone
	}
	for again := true; ; again = false {
		st := connect(h.Addr, h.Transport == wire.TLS, h.ServerName)
		if st == nil {
			return socket.ErrStreams
		}
		b, ok := o.branchIn(raw)
		if ok {
			o.add(st.ID, b)
		}
		err := o.sockets.Write(st, l, raw)
		if err == nil {
			return nil
		}
		o.drop(st.ID, b)
		if !again || !errors.Is(err, transport.ErrClosed) {
			return err
		}
	}
}

// Undelivered is told of a datagram that did not arrive, with all its bytes or the first ones.
// false: it is no request of our own.
func (o *Requests) Undelivered(payload []byte) bool {
	b, ok := o.branchIn(payload)
	if ok && o.cfg.Unreachable != nil {
		o.cfg.Unreachable(b)
	}
	return ok
}

// StreamEnded is told of a connection that has ended, and why.
func (o *Requests) StreamEnded(st *transport.Stream, err error) {
	tell := o.cfg.Unreachable
	if errors.Is(err, transport.ErrOurs) {
		tell = o.cfg.Interrupted
	}
	for _, b := range o.take(st.ID) {
		if tell != nil && !st.Alone() {
			tell(b)
		}
	}
}

func (o *Requests) add(stream uint64, branch []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := append(o.byStream[stream], branch)
	o.byStream[stream] = list[max(0, len(list)-maxPerStream):]
}

// drop forgets one that was not sent after all.
func (o *Requests) drop(stream uint64, branch []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := slices.DeleteFunc(o.byStream[stream], func(b []byte) bool { return bytes.Equal(b, branch) })
	if o.byStream[stream] = list; len(list) == 0 {
		delete(o.byStream, stream)
	}
}

func (o *Requests) take(stream uint64) [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.byStream[stream]
	delete(o.byStream, stream)
	return list
}

// branchIn finds the branch of a request of our own in its bytes, or in the first ones.
func (o *Requests) branchIn(raw []byte) ([]byte, bool) {
	if len(o.prefix) == 0 || bytes.HasPrefix(raw, []byte("SIP/")) {
		return nil, false
	}
	b, whole := draft.FindBranch(raw, o.prefix)
	return bytes.Clone(b), whole
}
