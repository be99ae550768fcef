package outage

import (
	"testing"
	"time"
)

// TestFacts: what is told to people of a path is what was seen of it, by somebody else or
// by the user, and no more.
func TestFacts(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 3, 1, 10, 0, s, 0, time.UTC) }
	pass := func(p *Paths, s int, hop string, user uint64) {
		var got Passes
		got.Add(at(s), user)
		p.Passed(at(s), hop, got)
	}
	for name, c := range map[string]struct {
		rules Limits
		seen  func(*Paths)
		want  string
	}{
		"nothing": {Limits{}, func(*Paths) {}, "among the phones that are reached directly nobody else is known to have failed"},
		"off":     {Limits{Off: true}, func(p *Paths) { pass(p, 1, "h", 2) }, "no proof of the path is asked for"},
		"others":  {Limits{}, func(p *Paths) { pass(p, 1, "h", 2); pass(p, 2, "h", 3); pass(p, 3, "h", 1) }, "by h others got through at 2026-03-01T10:00:02Z, a request to the user was answered at 2026-03-01T10:00:03Z"},
		"OPTIONS": {Limits{}, func(p *Paths) { pass(p, 1, "h", 2); pass(p, 1, "h", 3); p.Answered(at(5), "h", at(4), true) }, "by h others got through at 2026-03-01T10:00:01Z, OPTIONS was answered at 2026-03-01T10:00:05Z"},
		"a phone of one's own": {
			Limits{},
			func(p *Paths) { pass(p, 1, "h", 1); pass(p, 2, "i", 2) },
			"among the phones that are reached directly others got through at 2026-03-01T10:00:02Z, a request to the user was answered at 2026-03-01T10:00:01Z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPaths(c.rules)
			c.seen(p)
			if got := p.Facts("h", 1).String(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
