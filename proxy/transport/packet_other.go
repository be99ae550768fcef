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

// Receive waits for datagrams and reads what is there.
func (p *Packet) Receive(in *Inbox) error { return receiveOne(p.conn, in) }

// Send writes all datagrams of o and empties it. failed counts those that the
// socket did not take; err is the last reason.
func (p *Packet) Send(o *Outbox) (failed int, err error) { return sendEach(p.conn, o) }
