//go:build !linux

package transport

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

// Receive waits for datagrams and reads what is there.
func (p *Packet) Receive(in *Inbox) error { return receiveOne(p.conn, in) }

// Send writes all datagrams of o and empties it. failed counts those that the
// socket did not take; err is the last reason.
func (p *Packet) Send(o *Outbox) (failed int, err error) { return sendEach(p.conn, o) }
