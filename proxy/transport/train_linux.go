//go:build linux

package transport

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Datagrams that go to one address in a row leave as a train (UDP_SEGMENT, udp(7)):
// the kernel takes them through its network stack, the filters of the host and the
// route in one piece, and cuts them apart at the end of the way, or has the network
// card do it. Under load that saves up to a third of what forwarding costs, a tenth to a
// sixth where lengths differ at random.

// trains tells whether a socket may send them.
type trains struct {
	able bool // the kernel knows them
	// apart is until when datagrams leave one by one (Unix nanoseconds); 0: they
	// need not.
	apart atomic.Int64
}

// apartFor is how long datagrams leave one by one after an error. An ICMP error tells
// of the first car only; the others are known to be lost when they are sent again,
// T1 later and more, and each by itself.
const apartFor = 5 * time.Second

// probe asks the kernel.
func (t *trains) probe(fd int) {
	_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	t.able = err == nil
}

// coupled tells whether trains may be sent now.
func (t *trains) coupled() bool {
	until := t.apart.Load()
	if until == 0 || !t.able {
		return t.able
	}
	if time.Now().UnixNano() < until {
		return false
	}
	t.apart.CompareAndSwap(until, 0)
	return true
}

// uncouple has datagrams leave one by one for a while: a car does not fit the link,
// or the way of one of them does not allow trains (IPsec), or an address is dead.
func (t *trains) uncouple() { t.apart.Store(time.Now().Add(apartFor).UnixNano()) }

// cut is the control message that says how long each car is.
type cut struct {
	hdr  unix.Cmsghdr
	size uint16
	_    [6]byte
}

// cutSize is its length with its padding.
const cutSize = int(unsafe.Sizeof(cut{}))

func (c *cut) init() {
	c.hdr.Level, c.hdr.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	c.hdr.SetLen(unix.CmsgLen(int(unsafe.Sizeof(c.size))))
}

// at sets the length, and gives the message as sendmmsg(2) wants it.
func (c *cut) at(size int) *byte {
	c.size = uint16(size)             //nolint:gosec // at most maxCar
	return (*byte)(unsafe.Pointer(c)) //nolint:gosec // cmsg(3)
}
