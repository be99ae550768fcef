package proxy

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// ownRequests is what the path knows of rewatch's own requests: how they are told from
// others, and by which stream each has left, so that its sender can be told when that
// stream ends. Everything else is package uac's.
type ownRequests struct {
	s        *Server
	prefix   []byte // of their branches
	identity []byte // the address of record in their From; nil: not known

	mu       sync.Mutex
	byStream map[uint64][][]byte
}

// maxOwn bounds what is remembered of one stream: the latest ones, of which
// alone some may still be waiting.
const maxOwn = 64

func (o *ownRequests) add(stream uint64, branch []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byStream == nil {
		o.byStream = make(map[uint64][][]byte)
	}
	list := append(o.byStream[stream], branch)
	o.byStream[stream] = list[max(0, len(list)-maxOwn):]
}

// drop forgets one that has not left after all.
func (o *ownRequests) drop(stream uint64, branch []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := slices.DeleteFunc(o.byStream[stream], func(b []byte) bool { return bytes.Equal(b, branch) })
	if o.byStream[stream] = list; len(list) == 0 {
		delete(o.byStream, stream)
	}
}

func (o *ownRequests) take(stream uint64) [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.byStream[stream]
	delete(o.byStream, stream)
	return list
}

// branchIn finds the branch of a request of our own in its bytes, or in as many
// of them as came back.
func (o *ownRequests) branchIn(raw []byte) ([]byte, bool) {
	if len(o.prefix) == 0 || bytes.HasPrefix(raw, []byte("SIP/")) {
		return nil, false
	}
	i := bytes.Index(raw, o.prefix)
	if i < 0 {
		return nil, false
	}
	end := i
	for end < len(raw) && tokenByte(raw[end]) {
		end++
	}
	return bytes.Clone(raw[i:end]), end < len(raw)
}

// lost tells that a request of our own did not arrive.
func (o *ownRequests) lost(b []byte) {
	if o.s.cfg.OwnUnreachable != nil {
		o.s.cfg.OwnUnreachable(b)
	}
}

// quoted finds our branch in the beginning of a datagram that came back.
func quoted(payload []byte) (b draft.Branch, method []byte, ok bool) {
	sp := bytes.IndexByte(payload, ' ')
	i := bytes.Index(payload, draft.BranchStart)
	if sp <= 0 || i < 0 || bytes.HasPrefix(payload, []byte("SIP/")) {
		return b, nil, false
	}
	end := i
	for end < len(payload) && tokenByte(payload[end]) {
		end++
	}
	b, ok = draft.ParseBranch(payload[i:end])
	return b, payload[:sp], ok
}

func tokenByte(c byte) bool {
	return c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// returned tells whether a request is a MESSAGE of our own that the core
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
func (o *ownRequests) returned(m *wire.Message, from flow) bool {
	if o.s.cfg.OwnReturned == nil || from.side() != dialogs.Core || !bytes.Equal(m.Method, mMESSAGE) {
		return false
	}
	v, _ := m.Value(wire.From)
	return o.s.cfg.OwnReturned(wire.Tag(v), o.ownVia(m), from.addr)
}

// forIdentity tells whether a request is a MESSAGE for the identity of requests
// of our own: what a client has to say of our MESSAGE is nothing to the server.
func (o *ownRequests) forIdentity(m *wire.Message, from flow) bool {
	if len(o.identity) == 0 || from.side() != dialogs.Core || !bytes.Equal(m.Method, mMESSAGE) {
		return false
	}
	var scratch [aor.MaxScratch]byte
	uri, ok := aor.Append(scratch[:0], m.URI)
	return ok && bytes.Equal(uri, o.identity)
}

// ownVia gives the branch of the first Via that looks like one of a request of our own.
// Every byte is looked at once.
func (o *ownRequests) ownVia(m *wire.Message) (branch []byte) {
	m.ValuesWith(wire.Via, o.prefix, func(value []byte) bool {
		if via, ok := wire.ParseVia(value); ok && bytes.HasPrefix(via.Branch, o.prefix) && o.s.ownVia(&via) {
			branch = via.Branch
		}
		return branch == nil
	})
	return branch
}

// SentBy is the sent-by that a request of ours has in its Via when it leaves by a
// side and transport; false if no socket there speaks it.
func (s *Server) SentBy(side dialogs.Side, h resolve.Hop) (string, bool) {
	l := s.local(side, h.Transport, h.Addr.Addr(), nil)
	if l == nil {
		return "", false
	}
	return l.sentBy, true
}

// Send writes a request of our own to a hop. Its responses come back through
// Config.OwnResponse. raw is not kept.
func (s *Server) Send(side dialogs.Side, h resolve.Hop, raw []byte) error {
	return s.own.send(side, h, raw, false)
}

// SendAlone is Send on a connection that carries nothing else: what is stuck on the one
// that all share tells nothing of the hop.
func (s *Server) SendAlone(side dialogs.Side, h resolve.Hop, raw []byte) error {
	return s.own.send(side, h, raw, true)
}

func (o *ownRequests) send(side dialogs.Side, h resolve.Hop, raw []byte, alone bool) error {
	l := o.s.local(side, h.Transport, h.Addr.Addr(), nil)
	if l == nil {
		return errNoSocket
	}
	if h.Transport.Reliable() {
		return o.sendOver(l, h, raw, alone)
	}
	w := o.s.borrow()
	defer o.s.giveBack(w)
	box := w.out[l.index]
	box.Add(raw, h.Addr)
	o.s.tapDatagrams(l, box)
	_, err := l.packet.Send(box)
	return err
}

func (o *ownRequests) sendOver(l *local, h resolve.Hop, raw []byte, alone bool) error {
	connect := o.s.streams[l.side].To
	if alone {
		connect = o.s.streams[l.side].Alone
	}
	for again := true; ; again = false {
		st := connect(h.Addr, h.Transport == wire.TLS, h.ServerName)
		if st == nil {
			return errStreams
		}
		b, ok := o.branchIn(raw)
		if ok {
			o.add(st.ID, b)
		}
		err := o.s.write(st, l, raw)
		if err == nil {
			return nil
		}
		o.drop(st.ID, b)
		if !again || !errors.Is(err, transport.ErrClosed) {
			return err
		}
	}
}
