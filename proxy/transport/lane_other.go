//go:build !linux

package transport

import "errors"

type laneSys struct{}

func (laneSys) ring() {}
func (laneSys) free() {}

// NewLane says that there are no lanes here.
func NewLane([]*Packet) (*Lane, error) { return nil, errors.ErrUnsupported }

// Serve is for lanes that there are.
func (l *Lane) Serve(*Inbox, func(socket int)) error { return errors.ErrUnsupported }
