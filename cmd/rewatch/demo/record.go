package demo

import (
	"strings"
	"sync"
	"time"

	"rewatch/integration/peers"
)

// record keeps what passed the peers' sockets. The summary is made from it.
type record struct {
	mu  sync.Mutex
	all []peers.Passed
}

func (r *record) trace(p peers.Passed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, p)
}

// sighting describes the messages to look for: all fields have to match. An empty text and a zero
// time match every message.
type sighting struct {
	peer   string
	method string
	status int // 0: requests only
	sent   bool
	text   string // has to occur in the message
	after  time.Time
}

func (s sighting) fits(p peers.Passed) bool {
	return p.Peer == s.peer && p.Method == s.method && p.Status == s.status &&
		p.Sent == s.sent && !p.Lost && strings.Contains(p.Text, s.text) && !p.At.Before(s.after)
}

// of lists the messages that fit, in order, without retransmissions.
func (r *record) of(s sighting) []peers.Passed {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []peers.Passed
	for _, p := range r.all {
		if !p.Repeat && s.fits(p) {
			found = append(found, p)
		}
	}
	return found
}

// first is the time of the first such message; zero if there was none.
func (r *record) first(s sighting) time.Time {
	var first time.Time
	for _, p := range r.of(s) {
		if first.IsZero() || p.At.Before(first) {
			first = p.At
		}
	}
	return first
}
