//go:build !linux

package load

import (
	"errors"
	"net/netip"
)

type conn struct{}

var errSystem = errors.New("the load generator needs Linux")

func openUDP(_, _ netip.AddrPort) (link, error) { return nil, errSystem }
func openTCP(_, _ netip.AddrPort) (link, error) { return nil, errSystem }

// Listening is not known here.
func Listening(_ string, _ netip.AddrPort) bool { return false }

func (g *Generator) drops() int { return 0 }

func dropsAt(...netip.AddrPort) int { return 0 }

func sharpen() {}
