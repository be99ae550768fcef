package transport

import (
	"context"
	"net"
	"net/netip"
	"time"
)

const (
	// maxDenied bounds the connections of hosts that are not admitted and get an answer at a
	// time, denyTimeout how long each is open, and maxDeniedMessage the size of its message.
	maxDenied        = 32
	denyTimeout      = 2 * time.Second
	maxDeniedMessage = 8 << 10
)

// deny reads the first message of a host that is not admitted, answers it and closes the
// connection, so that the sender knows why. It gets no stream, little time and little room.
func (t *Streams) deny(conn net.Conn, peer netip.AddrPort) {
	if t.cfg.Deny == nil || t.denied.Add(1) > maxDenied {
		if t.cfg.Deny != nil {
			t.denied.Add(-1)
		}
		t.refuse(conn, RefusedUntrusted)
		return
	}
	t.wg.Go(func() {
		defer t.denied.Add(-1)
		stop := context.AfterFunc(t.ctx, func() { _ = conn.Close() })
		defer stop()
		_ = conn.SetDeadline(time.Now().Add(denyTimeout))
		buf := make([]byte, 0, maxDeniedMessage)
		for len(buf) < cap(buf) {
			n, err := conn.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			skip, length, bad := t.cfg.Frame(buf, 0)
			if bad == nil && length > 0 && skip+length <= len(buf) {
				_, _ = conn.Write(t.cfg.Deny(peer, buf[skip:skip+length]))
				break
			}
			if err != nil || bad != nil {
				break
			}
		}
		t.refuse(conn, RefusedUntrusted)
	})
}
