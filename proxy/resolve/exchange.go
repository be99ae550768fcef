package resolve

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// TypeNAPTR is the type of a NAPTR record (RFC 3403), which dnsmessage lacks.
const TypeNAPTR dnsmessage.Type = 35

// ErrNoRecord says that the name, or a record of that type, does not exist; any
// other error of an Exchanger means that we do not know.
var ErrNoRecord = errors.New("no such record")

// Exchanger asks DNS one question: all records of a type that a name has.
type Exchanger interface {
	Exchange(ctx context.Context, name string, typ dnsmessage.Type) ([]Record, error)
}

// Record is one resource record; which fields are set follows from the type.
type Record struct {
	TTL  time.Duration
	Addr netip.Addr // A, AAAA

	// SRV
	Priority, Weight, Port uint16
	// SRV target, NAPTR replacement; without the final dot
	Name string

	// NAPTR
	Order, Preference      uint16
	Flags, Service, Regexp string
}
