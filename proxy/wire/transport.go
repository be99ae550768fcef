package wire

// Transport is a transport protocol of SIP.
type Transport uint8

const (
	// AnyTransport says that none was named.
	AnyTransport Transport = iota
	UDP
	TCP
	TLS
)

var (
	transports    = [...]string{AnyTransport: "", UDP: "udp", TCP: "tcp", TLS: "tls"}
	viaTransports = [...]string{AnyTransport: "", UDP: "UDP", TCP: "TCP", TLS: "TLS"}
)

// String gives the transport as a URI names it (RFC 3261 19.1.1); nothing for
// AnyTransport.
func (t Transport) String() string { return transports[t] }

// Via gives the transport as a Via names it (RFC 3261 20.42).
func (t Transport) Via() string { return viaTransports[t] }

// Reliable tells whether the transport retransmits by itself.
func (t Transport) Reliable() bool { return t > UDP }

// DefaultPort is the port where none is given (RFC 3261 19.1.2).
func (t Transport) DefaultPort() int {
	if t == TLS {
		return 5061
	}
	return 5060
}

// ParseTransport reads a transport as a URI or a Via names it, in whatever case.
func ParseTransport(text []byte) (Transport, bool) {
	for t := UDP; t <= TLS; t++ {
		if EqualFold(text, transports[t]) {
			return t, true
		}
	}
	return AnyTransport, false
}
