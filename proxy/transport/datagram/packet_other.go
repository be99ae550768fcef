//go:build !linux

package datagram

import "net"

type (
	batcher   struct{ pc net.PacketConn }
	inboxSys  struct{}
	outboxSys struct{}
)

func (*inboxSys) init(*Inbox) {}
func (*outboxSys) init()      {}

func (b *batcher) init(conn net.PacketConn) error {
	b.pc = conn
	return nil
}

// The system does not tell.

func (*batcher) resize(int)                            {}
func (*batcher) dropped() (n uint32, ok bool)          { return 0, false }
func (*batcher) buffers() (receive, send int, ok bool) { return 0, 0, false }

// Serve waits for datagrams, reads what is there, and calls handle, again and again
// until that returns false. One goroutine at a time may serve.
func (p *Packet) Serve(in *Inbox, handle func() (more bool)) error {
	return serveOneByOne(p.conn, in, handle)
}

// Send writes all datagrams of o and empties it. failed counts those that the
// socket did not take; err is the last reason.
func (p *Packet) Send(o *Outbox) (failed int, err error) { return p.sendEach(o) }
