package route

import (
	"bytes"
	"net/netip"
	"strings"

	"rewatch/dialogs"
	"rewatch/proxy/wire"
)

// Name is one name of ours: the host and port of a socket.
type Name struct {
	host string     // lower case
	ip   netip.Addr // of a host that is an address
	port int
	// Socket is the number of the socket, Side the side that it is on.
	Socket int
	Side   dialogs.Side
}

// Names are all of them. The list is short, so it is searched from end to end.
type Names []Name

// Find gives the name with that host and port, nil if they are not ours. An address is
// the same in whatever spelling (RFC 5954 4.2); a host name may end with a dot.
func (ns Names) Find(host []byte, port int) *Name {
	for i := range ns {
		if ns[i].port == port && wire.EqualFold(host, ns[i].host) {
			return &ns[i]
		}
	}
	if bare := bytes.TrimSuffix(host, []byte(".")); len(bare) < len(host) {
		return ns.Find(bare, port)
	}
	ip, ok := wire.ParseIP(host)
	if !ok {
		return nil
	}
	for i := range ns {
		if ns[i].port == port && ns[i].ip == ip {
			return &ns[i]
		}
	}
	return nil
}

// URI gives the name in a URI, nil if it is not ours.
func (ns Names) URI(u *wire.URI) *Name {
	port := u.Port
	if port == 0 {
		port = defaultPort(u)
	}
	return ns.Find(u.Host, port)
}

// NewName makes a name of a host, which may be an address.
func NewName(host string, port, socket int, side dialogs.Side) Name {
	ip, _ := netip.ParseAddr(host)
	return Name{strings.ToLower(strings.TrimSuffix(host, ".")), ip.Unmap(), port, socket, side}
}

func defaultPort(u *wire.URI) int {
	if wire.EqualFold(u.Scheme, "sips") {
		return wire.TLS.DefaultPort()
	}
	named, _ := wire.Param(u.Params, "transport")
	t, _ := wire.ParseTransport(named)
	return t.DefaultPort()
}
