//go:build !linux

package datagram

import "errors"

type pollerSys struct{}

func (pollerSys) ring() {}
func (pollerSys) free() {}

// NewPoller says that there are no pollers here.
func NewPoller([]*Packet) (*Poller, error) { return nil, errors.ErrUnsupported }

// Serve is for pollers that there are.
func (l *Poller) Serve(*Inbox, func(socket int)) error { return errors.ErrUnsupported }
