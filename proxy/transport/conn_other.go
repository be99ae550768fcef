//go:build !linux

package transport

import (
	"net"
	"time"
)

func straight(conn net.Conn) net.Conn { return conn }

// standing is not known here.
func standing(net.Conn) (acknowledged, open bool) { return true, true }

// giveUpAfter leaves it to the system when a peer has vanished.
func giveUpAfter(net.Conn, time.Duration) {}
