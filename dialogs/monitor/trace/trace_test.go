package trace

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/ident"
)

// drawn is a Recovery that draws the ladder of one user.
type drawn struct {
	dialogs.Recovery
	of    string
	steps []string
}

func (d *drawn) Interested(aor string) bool { return aor == d.of }

func (d *drawn) Trace(aor string, s dialogs.Step) {
	if aor == d.of {
		d.steps = append(d.steps, strings.Join([]string{s.At.Format("05"), s.From, s.To, s.What}, "|"))
	}
}

// TestLadder draws what passes and what does not: two arrows for what goes through, one for
// what ends at rewatch, a note for what nobody sent.
func TestLadder(t *testing.T) {
	const alice = "sip:alice@ims.example"
	at := func(second int) time.Time { return time.Unix(int64(second), 0).UTC() }
	notify := Notify{Watcher: alice, Event: "presence", At: at(1)}
	tries := []dialogs.Try{{Why: "503", At: at(2), Hop: netip.MustParseAddrPort("192.0.2.1:5060"), Transport: "udp"}}
	passed := []string{"01|server|rewatch|NOTIFY presence", "01|rewatch|core|NOTIFY presence"}
	for name, c := range map[string]struct {
		draw func(l *Ladder)
		want []string
	}{
		"a SUBSCRIBE that goes on": {
			func(l *Ladder) { l.Subscribe(alice, at(1), "server", &ident.ID{Package: []byte("presence")}) },
			[]string{"01|core|rewatch|SUBSCRIBE presence", "01|rewatch|server|SUBSCRIBE presence"},
		},
		"one that is answered here": {
			func(l *Ladder) { l.Subscribe(alice, at(1), "rewatch", &ident.ID{Package: []byte("presence")}) },
			[]string{"01|core|rewatch|SUBSCRIBE presence"},
		},
		"another user's": {
			func(l *Ladder) {
				l.Subscribe("sip:bob@ims.example", at(1), "server", &ident.ID{Package: []byte("presence")})
			}, nil,
		},
		"a response": {
			func(l *Ladder) { l.Response(alice, at(3), "server", "core", 200, []byte("OK")) },
			[]string{"03|server|rewatch|200 OK", "03|rewatch|core|200 OK"},
		},
		"a NOTIFY that got through at once": {func(l *Ladder) { l.Passed(notify, &dialogs.Outcome{}) }, passed},
		"one that was tried again": {
			func(l *Ladder) { l.Passed(notify, &dialogs.Outcome{Tries: tries}) },
			append(slices.Clone(passed), "02|rewatch|core|NOTIFY presence again upon 503, by udp 192.0.2.1:5060"),
		},
		"one without an answer": {
			func(l *Ladder) {
				l.Missed(notify, &dialogs.Outcome{Kind: dialogs.TimedOut}, at(28), "no response after 28s")
			},
			append(slices.Clone(passed), "28|rewatch|rewatch|no response after 28s"),
		},
		"one that nobody took": {
			func(l *Ladder) { l.Missed(notify, &dialogs.Outcome{Kind: dialogs.Unreachable}, at(2), "") },
			append(slices.Clone(passed), "02|rewatch|rewatch|next hop unreachable"),
		},
		"one that was refused": {
			func(l *Ladder) {
				l.Missed(notify, &dialogs.Outcome{Kind: dialogs.Responded, Status: 480, Reason: []byte("Gone away")}, at(2), "")
			},
			append(slices.Clone(passed), "02|core|rewatch|480 Gone away"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &drawn{of: alice}
			if c.draw(&Ladder{Recovery: d}); !slices.Equal(d.steps, c.want) {
				t.Errorf("drawn\n%s\nwant\n%s", strings.Join(d.steps, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
	if got := Tries(tries); !slices.Equal(got, []string{"upon 503, by udp 192.0.2.1:5060"}) {
		t.Errorf("for the log: %q", got)
	}
}
