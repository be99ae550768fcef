package route

import (
	"bytes"
	"time"

	"rewatch/proxy/draft"
	"rewatch/proxy/wire"
)

// Learner learns the hosts that the presence server names in its messages. It belongs to one
// goroutine.
type Learner struct {
	hosts *Hosts
	own   Names

	host []byte
	// last is the value that was read last, at when: nearly every message of a server has
	// the same value. routes are the Record-Routes and the Contacts of the response that was
	// read last, at whenRoutes; nearly every response has the same.
	last, routes     []byte
	when, whenRoutes time.Time
}

// NewLearner makes a Learner that tells hosts. own are the names of rewatch itself.
func NewLearner(hosts *Hosts, own Names) Learner { return Learner{hosts: hosts, own: own} }

// relearn is after how long a value is read again that is the same as the one before.
const relearn = time.Second

// maxRelearn bounds what is remembered of one message.
const maxRelearn = 1 << 10

// Request learns the host that a request of the server names: the uppermost Record-Route,
// which is that of the neighbour, else its Contact. The request must not have passed here
// before: then its fields are not the server's.
func (l *Learner) Request(m *wire.Message, now time.Time) {
	switch string(m.Method) {
	case "NOTIFY", "SUBSCRIBE", "INVITE", "REFER", "UPDATE":
	default:
		return
	}
	if m.First(wire.RecordRoute) >= 0 {
		l.name(draft.FirstValue(m, wire.RecordRoute), now)
		return
	}
	l.name(draft.FirstValue(m, wire.Contact), now)
}

// Response learns the host that a response of the server names: the Record-Route
// above our two, else the Contact. A phone may have written those below ours. In the dialog
// of a call a phone may have written all of them, so there only the Contact is believed, and
// only where our two are at the top. If there are more than two of ours, the request has
// passed here twice, and a phone has answered it.
func (l *Learner) Response(m *wire.Message, b draft.Branch, method []byte, now time.Time) {
	invite := string(method) == "INVITE"
	if m.Status <= 100 || m.Status >= 300 || !invite && !b.Begins() {
		return
	}
	if !invite && l.knows(m, now) {
		return
	}
	var above []byte
	own := 0
	for values := m.Values(wire.RecordRoute); ; {
		v, _, ok := values.Next()
		if !ok {
			break
		}
		uri, _, _ := wire.Address(v)
		u, ok := wire.ParseURI(uri)
		switch {
		case ok && l.own.URI(&u) != nil:
			own++
		case own == 0:
			above = v
		}
	}
	switch {
	case own > 2, invite && (own == 0 || above != nil):
	case own > 0 && above != nil:
		l.name(above, now)
	default:
		l.name(draft.FirstValue(m, wire.Contact), now)
	}
}

// knows tells whether a response has the same Record-Routes and Contacts as the one before.
func (l *Learner) knows(m *wire.Message, now time.Time) bool {
	rest, same := l.routes, now.Sub(l.whenRoutes) < relearn
	for _, n := range [...]wire.Name{wire.RecordRoute, wire.Contact} {
		for i := m.First(n); i >= 0 && same; i = m.Next(i) {
			line := m.Raw[m.Lines[i].Start:m.Lines[i].End]
			if same = bytes.HasPrefix(rest, line); same {
				rest = rest[len(line):]
			}
		}
	}
	if same && len(rest) == 0 {
		return true
	}
	l.routes, l.whenRoutes = l.routes[:0], now
	for _, n := range [...]wire.Name{wire.RecordRoute, wire.Contact} {
		for i := m.First(n); i >= 0; i = m.Next(i) {
			l.routes = append(l.routes, m.Raw[m.Lines[i].Start:m.Lines[i].End]...)
		}
	}
	if len(l.routes) > maxRelearn {
		l.routes, l.whenRoutes = l.routes[:0], time.Time{}
	}
	return false
}

// name notes a host that the server has named.
func (l *Learner) name(value []byte, now time.Time) {
	if len(value) > 0 && bytes.Equal(value, l.last) && now.Sub(l.when) < relearn {
		return
	}
	if l.last = l.last[:0]; len(value) <= maxRelearn {
		l.last, l.when = append(l.last, value...), now
	}
	uri, _, _ := wire.Address(value)
	host, ok := AppendHost(l.host[:0], uri)
	l.host = host
	if ok && len(host) > 0 {
		l.hosts.Name(host, now)
	}
}
