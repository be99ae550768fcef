package load

import (
	"errors"
	"net/netip"
	"time"
)

// origin is where a message came from, for the answer; over UDP there is only
// one neighbour.
type origin struct{ conn *conn }

// link is one end of the generator. All of it belongs to one thread and nothing
// of it blocks.
type link interface {
	// receive hands over what is there, and tells whether that was anything.
	receive(handle func(raw []byte, from origin)) (bool, error)
	// begin gives the buffer to append a message to; request and reply take it
	// back and queue the message for the target, or for where a request came from.
	begin() []byte
	request(b []byte)
	reply(b []byte, to origin)
	flush() error
	// backlog is how many bytes wait for a peer that does not read.
	backlog() int
	// wait sleeps until something arrives on this link or on the other one.
	wait(other link, d time.Duration)
	descriptors() []int
	close()
}

// errGone: the peer's socket is closed, by the word of the kernel.
var errGone = errors.New("the system under test is gone")

// batchSize is how many datagrams one system call carries.
const batchSize = 32

// socketBuffer is what is asked of the kernel for each direction of a socket.
const socketBuffer = 4 << 20

// openLink opens one end; requests go to target.
func openLink(network string, local, target netip.AddrPort) (link, error) {
	if network == "tcp" {
		return openTCP(local, target)
	}
	return openUDP(local, target)
}
