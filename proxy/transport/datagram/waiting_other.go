//go:build !linux

package datagram

// Waiting is not known here.
func (p *Packet) Waiting() bool { return false }
