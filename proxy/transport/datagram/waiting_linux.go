package datagram

import "golang.org/x/sys/unix"

// Waiting tells whether a datagram waits to be read.
func (p *Packet) Waiting() bool {
	if p.raw == nil {
		return false
	}
	n := 0
	_ = p.raw.Control(func(fd uintptr) {
		n, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) //nolint:gosec // a descriptor
	})
	return n > 0
}
