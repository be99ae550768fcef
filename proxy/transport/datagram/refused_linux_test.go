package datagram

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
)

// refusals gathers what a socket is told.
type refusals []string

func (r *refusals) add(to netip.AddrPort, payload []byte, err error) {
	what := "?"
	switch {
	case errors.Is(err, ErrTooLong):
		what = "too long"
	case errors.Is(err, ErrUnreachable):
		what = "ICMP"
	case errors.Is(err, syscall.EINVAL):
		what = "invalid"
	}
	*r = append(*r, fmt.Sprintf("%s %c %d %s", to.Addr(), payload[0], len(payload), what))
}

// TestRefusedOnes are told of one by one, wherever in a batch or in a piece of several they are, with
// their destination and their bytes; all others arrive.
func TestRefusedOnes(t *testing.T) {
	const nowhere = "127.0.0.3" // of port 0
	for _, portable := range []bool{false, true} {
		t.Run(fmt.Sprintf("portable %t", portable), func(t *testing.T) {
			a, b := open(t, "udp4", "127.0.0.1:0", portable), open(t, "udp4", "127.0.0.1:0", false)
			var told refusals
			a.OnRefused = told.add
			o := NewOutbox()
			d := func(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }
			forbidden := netip.AddrPortFrom(netip.MustParseAddr(nowhere), 0)
			var want []string
			for i := range BatchSize + 7 {
				c := byte('a' + i%26)
				switch {
				case i%9 == 3:
					o.Add(d(c, 70000), b.Local())
					want = append(want, fmt.Sprintf("127.0.0.1 %c 70000 too long", c))
				case i >= 20 && i < 24: // in one piece
					o.Add(d(c, 500), forbidden)
					want = append(want, fmt.Sprintf("%s %c 500 invalid", nowhere, c))
				default:
					o.Add(d(c, 500), b.Local())
				}
			}
			arrive := o.Len() - len(want)
			if failed, err := a.Send(o); failed != len(want) || err == nil {
				t.Errorf("%d failed, want %d: %v", failed, len(want), err)
			}
			if !slices.Equal(told, want) {
				t.Errorf("told of %q, want %q", told, want)
			}
			receive(t, b, arrive)
		})
	}
}

// TestForeignErrors: the errors that ICMP leaves at the socket are not held against the
// datagrams that are sent next.
func TestForeignErrors(t *testing.T) {
	a, b := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
	dead := open(t, "udp4", "127.0.0.1:0", false)
	nobody := dead.Local()
	_ = dead.Close()
	told := map[string]bool{}
	a.OnRefused = func(to netip.AddrPort, _ []byte, err error) {
		told[fmt.Sprint(to == nobody, errors.Is(err, ErrUnreachable))] = true
	}
	o := NewOutbox()
	for range 50 {
		for range BatchSize / 2 {
			o.Add([]byte("lost"), nobody)
			o.Add([]byte("kept"), b.Local())
		}
		if failed, err := a.Send(o); failed > 0 {
			t.Fatal(failed, err)
		}
		receive(t, b, BatchSize/2)
	}
	a.drainErrors()
	if len(told) != 1 || !told["true true"] {
		t.Error(told)
	}
}
