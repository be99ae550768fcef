package route

import (
	"strings"
	"testing"
	"time"

	"rewatch/proxy/wire"
)

// TestLearnsOnce: the routes of a response are read again when they are others than those of
// the response before, or a while later.
func TestLearnsOnce(t *testing.T) {
	response := func(routes ...string) *wire.Message {
		var m wire.Message
		raw := "SIP/2.0 200 OK\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\n" + strings.Join(routes, "\n") + "\nContent-Length: 0\n\n"
		if err := wire.Scan([]byte(strings.ReplaceAll(raw, "\n", "\r\n")), &m); err != nil {
			t.Fatal(err)
		}
		return &m
	}
	var l Learner
	at := time.Unix(1, 0)
	const route, contact = "Record-Route: <sip:a;lr>", "Contact: <sip:b>"
	for _, c := range []struct {
		after  time.Duration
		routes []string
		known  bool
	}{
		{0, []string{route, contact}, false},
		{0, []string{route, contact}, true},
		{relearn, []string{route, contact}, false},
		{0, []string{route, route, contact}, false},
		{0, []string{route, route, contact}, true},
		{0, []string{route, contact}, false},
		{0, []string{route, "Contact: <sip:c>"}, false},
		{0, []string{route}, false},
		{0, []string{route, contact}, false},
		{0, []string{route, "Contact: <sip:" + strings.Repeat("c", maxRelearn) + ">"}, false},
		{0, []string{route, "Contact: <sip:" + strings.Repeat("c", maxRelearn) + ">"}, false},
	} {
		at = at.Add(c.after)
		if known := l.knows(response(c.routes...), at); known != c.known {
			t.Errorf("%q: %t", c.routes, known)
		}
	}
}
