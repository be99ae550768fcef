package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"rewatch/proxy/transport/netaddr"
)

// Serve accepts connections from l until it is closed. With secure, l is a listener that does
// TLS itself; tag becomes Stream.Listener.
func (t *Streams) Serve(l net.Listener, secure bool, tag any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		_ = l.Close()
		return
	}
	t.listen = append(t.listen, l)
	t.wg.Go(func() { t.accept(l, secure, tag) })
}

const (
	// acceptBatch connections are accepted in a row, then none for acceptPause. So a storm of
	// connections waits in the kernel, and costs the open connections little.
	acceptBatch = 32
	acceptPause = 5 * time.Millisecond
)

func (t *Streams) accept(l net.Listener, secure bool, tag any) {
	began := time.Now()
	for n := 1; ; n++ {
		if n%acceptBatch == 0 {
			if !t.rest(acceptPause - time.Since(began)) {
				return
			}
			began = time.Now()
		}
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || t.ctx.Err() != nil {
				return
			}
			// Most likely there are no descriptors. Others will be closed; try again.
			t.refused(RefusedDescriptors)
			if !t.rest(50 * time.Millisecond) {
				return
			}
			continue
		}
		peer := netaddr.Of(conn.RemoteAddr())
		if t.cfg.Admit != nil && !t.cfg.Admit(peer) {
			t.deny(conn, peer)
			continue
		}
		s, why := t.add(peer, secure, tag)
		if why != "" {
			t.refused(why)
		}
		if s == nil {
			_ = conn.Close()
			continue
		}
		t.run(s, func(context.Context) (net.Conn, error) { return conn, nil })
	}
}

// rest waits; false: the set was closed.
func (t *Streams) rest(d time.Duration) bool {
	if d <= 0 {
		return t.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.ctx.Done():
		return false
	}
}

// refuse closes a connection at once.
func (t *Streams) refuse(conn net.Conn, why Refusal) {
	_ = conn.Close()
	t.refused(why)
}

func (t *Streams) refused(why Refusal) {
	if t.cfg.Refused != nil {
		t.cfg.Refused(why)
	}
}

// add makes a stream for a connection that was accepted; nil if there is no room. why is the
// reason why a connection was closed for lack of room: this one, or another.
func (t *Streams) add(peer netip.AddrPort, secure bool, tag any) (s *Stream, why Refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ""
	}
	now := time.Now()
	victim, why := t.admission.opens(peer.Addr(), now)
	if why != "" && victim == nil {
		return nil, why
	}
	if victim != nil {
		why = RefusedSilent
		t.admission.leaves(victim)
		victim.Close(ours(ErrCrowded))
	}
	s = t.enter(peerKey{addr: peer, secure: secure, accepted: secure})
	s.since, s.Listener = now, tag
	t.admission.enters(s)
	return s, why
}
