//go:build !linux

package transport

// Waiting is not known here.
func (p *Packet) Waiting() bool { return false }
