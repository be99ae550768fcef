package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"rewatch/proxy/wire"
)

// Bounds of one search, against answers that are larger than they should be.
const (
	maxServices = 8
	maxServers  = 16
	maxHops     = 32
	// questionTimeout bounds one question, so that a question without an answer leaves time
	// for the others.
	questionTimeout = 3 * time.Second
)

// search is the lookup of one target (RFC 3263 section 4). It keeps the least TTL of all its
// records.
type search struct {
	ex  Exchanger
	ttl time.Duration
	// denied: an SRV record says that there is no such service (RFC 2782).
	denied bool
	groups uint16 // of SRV records with one priority
	// vague is set when a question got no answer: the records may exist.
	vague error
}

// service is a transport and the SRV name under which it is offered.
type service struct {
	transport wire.Transport
	name      string
}

// literal answers a target that is an address, or reports false.
func literal(t Target) ([]Hop, bool) {
	addr, err := netip.ParseAddr(t.Host)
	if err != nil {
		return nil, false
	}
	return []Hop{t.usual(addr.Unmap())}, true
}

// fallback is the transport if neither the URI nor DNS names one.
func fallback(t Target) wire.Transport { return cmp.Or(t.transport(), wire.UDP) }

// hop is one address at which a target is found.
func (t Target) hop(over wire.Transport, addr netip.Addr, port uint16) Hop {
	return Hop{Transport: over, Addr: netip.AddrPortFrom(addr, port), ServerName: t.Host}
}

// usual is a hop by the transport that is used where nothing names one.
func (t Target) usual(addr netip.Addr) Hop {
	over := fallback(t)
	h := t.hop(over, addr, port(t.Port, over))
	h.Either = t.transport() == wire.AnyTransport
	return h
}

func port(given uint16, transport wire.Transport) uint16 {
	switch {
	case given != 0:
		return given
	case transport == wire.TLS:
		return 5061
	}
	return 5060
}

// run finds the hops of a target that is a name.
func (s *search) run(ctx context.Context, t Target) ([]Hop, error) {
	if t.Port != 0 {
		return s.hosts(ctx, t)
	}
	services, err := s.services(ctx, t)
	if err != nil {
		return nil, err
	}
	hops := make([]Hop, 0, maxHops)
	for _, sv := range services {
		if hops, err = s.servers(ctx, t, sv, hops); err != nil {
			return nil, err
		}
	}
	switch {
	case len(hops) > 0:
		return slices.Clone(hops), nil // it is kept
	case s.denied: // the addresses of the name itself are for names without SRV records
		return nil, s.nothing(t)
	}
	return s.hosts(ctx, t)
}

// services lists the SRV names to ask, in order: those of the one transport that
// the URI names, those of NAPTR, or the usual ones.
func (s *search) services(ctx context.Context, t Target) ([]service, error) {
	tr := t.transport()
	if t.Transport != wire.AnyTransport {
		return []service{{tr, srvName(tr, t.Host)}}, nil
	}
	records, err := s.ask(ctx, t.Host, TypeNAPTR)
	if err != nil {
		return nil, err
	}
	if list := naptr(records, t); len(list) > 0 {
		return list, nil
	}
	if tr != wire.AnyTransport { // of a sips URI
		return []service{{tr, srvName(tr, t.Host)}}, nil
	}
	return []service{{wire.UDP, srvName(wire.UDP, t.Host)}, {wire.TCP, srvName(wire.TCP, t.Host)}}, nil
}

func srvName(transport wire.Transport, host string) string {
	if transport == wire.TLS {
		return "_sips._tcp." + host
	}
	return "_sip._" + transport.String() + "." + host
}

// naptr picks the services that rewatch supports, by order and preference. Only the flag "s"
// leads to SRV, and a sips URI must not be downgraded.
func naptr(records []Record, t Target) []service {
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	var list []service
	for _, r := range records {
		if !strings.EqualFold(r.Flags, "s") || r.Name == "" || len(list) == maxServices {
			continue
		}
		switch name := strings.ToUpper(r.Service); {
		case name == "SIPS+D2T":
			list = append(list, service{wire.TLS, r.Name})
		case name == "SIP+D2U" && !t.Secure:
			list = append(list, service{wire.UDP, r.Name})
		case name == "SIP+D2T" && !t.Secure:
			list = append(list, service{wire.TCP, r.Name})
		}
	}
	return list
}

// servers asks for the servers of a service and for their addresses, and adds them to hops
// as far as there is room.
func (s *search) servers(ctx context.Context, t Target, sv service, hops []Hop) ([]Hop, error) {
	if len(hops) == maxHops {
		return hops, nil
	}
	records, err := s.ask(ctx, sv.name, dnsmessage.TypeSRV)
	if err != nil {
		return nil, err
	}
	if len(records) == 1 && records[0].Name == "" { // "."
		s.denied = true
		return hops, nil
	}
	priority := -1
	for _, r := range byPriority(records) {
		if int(r.Priority) != priority {
			s.groups, priority = s.groups+1, int(r.Priority)
		}
		if r.Name == "" || len(hops) == maxHops {
			continue
		}
		addrs, err := s.addresses(ctx, r.Name)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs[:min(len(addrs), maxHops-len(hops))] {
			h := t.hop(sv.transport, a, r.Port)
			h.Rank = Rank{Group: s.groups, Weight: r.Weight, Server: serverOf(r)}
			hops = append(hops, h)
		}
	}
	return hops, nil
}

// hosts asks for the addresses of the name itself.
func (s *search) hosts(ctx context.Context, t Target) ([]Hop, error) {
	addrs, err := s.addresses(ctx, t.Host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, s.nothing(t)
	}
	hops := make([]Hop, 0, len(addrs))
	for _, a := range addrs[:min(len(addrs), maxHops)] {
		hops = append(hops, t.usual(a))
	}
	return hops, nil
}

// nothing is the error of a search without result. Only if every question was answered, the
// name has no addresses for sure.
func (s *search) nothing(t Target) error {
	if s.vague != nil {
		return fmt.Errorf("resolve %s: %w", t.Host, s.vague)
	}
	return fmt.Errorf("resolve %s: %w", t.Host, ErrNoRecord)
}

func (s *search) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	var addrs []netip.Addr
	for _, typ := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		records, err := s.ask(ctx, host, typ)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			addrs = append(addrs, r.Addr.Unmap())
		}
	}
	return addrs, nil
}

// ask asks one question. If there is no such record, or no answer, only that part of the search
// is empty: some name servers drop questions of types that they do not know (often NAPTR), and
// A has to be asked all the same.
func (s *search) ask(ctx context.Context, name string, typ dnsmessage.Type) ([]Record, error) {
	one, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	records, err := s.ex.Exchange(one, name, typ)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, fmt.Errorf("resolve %s: %w", name, ctx.Err())
	case !errors.Is(err, ErrNoRecord):
		s.vague = err
		return nil, nil
	default:
		return nil, nil
	}
	for _, r := range records {
		s.ttl = min(s.ttl, r.TTL)
	}
	return records, nil
}
