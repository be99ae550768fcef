package netaddr

import (
	"net"
	"testing"
)

type named string

func (named) Network() string  { return "memory" }
func (n named) String() string { return string(n) }

func TestOf(t *testing.T) {
	mapped := net.ParseIP("10.0.0.1")
	for _, c := range []struct {
		in   net.Addr
		want string
	}{
		{nil, ""},
		{&net.UDPAddr{IP: mapped, Port: 5060}, "10.0.0.1:5060"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5060}, "[2001:db8::1]:5060"},
		{named("10.0.0.1:5060"), "10.0.0.1:5060"},
		{named("[::ffff:10.0.0.1]:5060"), "10.0.0.1:5060"},
		{named("/run/socket"), ""},
	} {
		got := Of(c.in)
		if got.IsValid() != (c.want != "") || got.IsValid() && got.String() != c.want {
			t.Errorf("%v gives %v, want %q", c.in, got, c.want)
		}
	}
}
