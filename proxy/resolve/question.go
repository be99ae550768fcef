package resolve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

var (
	errTruncated = errors.New("answer is truncated")
	errNotOurs   = errors.New("not the answer to our question")
	errNAPTR     = errors.New("malformed NAPTR record")
)

// question is one DNS question. It parses the answers to it.
type question struct{ dnsmessage.Question }

func newQuestion(name string, typ dnsmessage.Type) (question, error) {
	n, err := dnsmessage.NewName(absolute(name))
	if err != nil {
		return question{}, err
	}
	return question{dnsmessage.Question{Name: n, Type: typ, Class: dnsmessage.ClassINET}}, nil
}

func (q question) pack(id uint16) ([]byte, uint16, error) {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	if err := errors.Join(b.StartQuestions(), b.Question(q.Question), b.StartAdditionals()); err != nil {
		return nil, 0, err
	}
	var opt dnsmessage.ResourceHeader
	if err := opt.SetEDNS0(udpSize, dnsmessage.RCodeSuccess, false); err != nil {
		return nil, 0, err
	}
	if err := b.OPTResource(opt, dnsmessage.OPTResource{}); err != nil {
		return nil, 0, err
	}
	msg, err := b.Finish()
	return msg, id, err
}

// parse reads the records of the type that was asked for. They may have another name, to which
// a CNAME leads that the name server has followed for us. Then their TTL is at most that of the
// CNAME.
func (q question) parse(msg []byte, id uint16) ([]Record, error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || !h.Response || h.ID != id {
		return nil, errNotOurs
	}
	got, err := p.AllQuestions()
	if err != nil || len(got) != 1 || got[0].Type != q.Type || !strings.EqualFold(got[0].Name.String(), q.Name.String()) {
		return nil, errNotOurs
	}
	switch {
	case h.Truncated:
		return nil, errTruncated
	case h.RCode == dnsmessage.RCodeNameError:
		return nil, ErrNoRecord
	case h.RCode != dnsmessage.RCodeSuccess:
		return nil, fmt.Errorf("name server answered %s", h.RCode)
	}
	return q.answers(&p)
}

// maxRecords bounds what is read of one answer: more are of no use.
const maxRecords = 64

func (q question) answers(p *dnsmessage.Parser) ([]Record, error) {
	var records []Record
	alias := maxTTL
	for len(records) < maxRecords {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return nil, err
		}
		ttl := time.Duration(h.TTL) * time.Second
		if h.Type != q.Type || h.Class != dnsmessage.ClassINET {
			if h.Type == dnsmessage.TypeCNAME {
				alias = min(alias, ttl)
			}
			if err := p.SkipAnswer(); err != nil {
				return nil, err
			}
			continue
		}
		r, err := read(p, h.Type)
		if err != nil {
			return nil, err
		}
		r.TTL = ttl
		records = append(records, r)
	}
	if len(records) == 0 {
		return nil, ErrNoRecord
	}
	for i := range records {
		records[i].TTL = min(records[i].TTL, alias)
	}
	return records, nil
}

func read(p *dnsmessage.Parser, typ dnsmessage.Type) (Record, error) {
	switch typ { //nolint:exhaustive // no other type is asked for
	case dnsmessage.TypeA:
		a, err := p.AResource()
		return Record{Addr: netip.AddrFrom4(a.A)}, err
	case dnsmessage.TypeAAAA:
		a, err := p.AAAAResource()
		return Record{Addr: netip.AddrFrom16(a.AAAA)}, err
	case dnsmessage.TypeSRV:
		s, err := p.SRVResource()
		return Record{
			Priority: s.Priority, Weight: s.Weight, Port: s.Port,
			Name: strings.TrimSuffix(s.Target.String(), "."),
		}, err
	case TypeNAPTR:
		u, err := p.UnknownResource()
		if err != nil {
			return Record{}, err
		}
		return parseNAPTR(u.Data)
	}
	return Record{}, fmt.Errorf("type %s is not asked for", typ)
}

// parseNAPTR reads the data of a NAPTR record (RFC 3403 4.1). Its name is never
// compressed (RFC 3597 section 4), so the data is enough.
func parseNAPTR(b []byte) (Record, error) {
	if len(b) < 4 {
		return Record{}, errNAPTR
	}
	r := Record{Order: binary.BigEndian.Uint16(b), Preference: binary.BigEndian.Uint16(b[2:])}
	b = b[4:]
	for _, field := range []*string{&r.Flags, &r.Service, &r.Regexp} {
		if len(b) == 0 || len(b) <= int(b[0]) {
			return Record{}, errNAPTR
		}
		*field, b = string(b[1:1+int(b[0])]), b[1+int(b[0]):]
	}
	var labels []string
	for {
		if len(b) == 0 || b[0] > 63 || len(b) <= int(b[0]) {
			return Record{}, errNAPTR
		}
		if b[0] == 0 {
			r.Name = strings.ToLower(strings.Join(labels, "."))
			return r, nil
		}
		labels = append(labels, string(b[1:1+int(b[0])]))
		b = b[1+int(b[0]):]
	}
}
