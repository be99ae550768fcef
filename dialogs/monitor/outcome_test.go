package monitor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/policy"
)

// fate is what becomes of an otherwise healthy subscription.
type fate struct {
	any, rfc worth
	effect   effect
}

// TestOutcomeMatrix walks every status code in both modes. The expectation is
// written down the other way round from the table: by fate, as RFC 6665 4.2.2,
// RFC 5057 5.1 and the design list the codes.
func TestOutcomeMatrix(t *testing.T) {
	expect := func(code int) fate {
		switch {
		case code < 300:
			return fate{worthOK, worthOK, endsTransaction}
		case code < 400:
			return fate{worthFailure, worthWaiting, endsTransaction}
		case code == 401 || code == 407:
			return fate{worthChallenge, worthChallenge, endsTransaction}
		case code == 491:
			return fate{worthWaiting, worthWaiting, endsTransaction}
		case slices.Contains([]int{404, 410, 416, 482, 484, 485, 502, 604}, code):
			return fate{worthFailure, worthFailure, endsDialog}
		case slices.Contains([]int{403, 405, 408, 480, 481, 483, 489, 501}, code):
			return fate{worthFailure, worthFailure, endsUsage}
		case code == 503:
			return fate{worthFailure, worthFailure, endsTransaction}
		default:
			return fate{worthFailure, worthLittle, endsTransaction}
		}
	}
	for code := 200; code < 700; code++ {
		o := dialogs.Outcome{Status: code, RetryAfter: -1}
		want := expect(code)
		got := fate{worthOf(&o, false), worthOf(&o, true), rowOf(&o).effect}
		if got != want {
			t.Errorf("%d: %+v, want %+v", code, got, want)
		}
		o.RetryAfter = 5
		want.any, want.rfc = worthWaiting, worthWaiting
		if w := expect(code); w.any == worthOK || w.any == worthChallenge {
			want = w
		}
		if got := (fate{worthOf(&o, false), worthOf(&o, true), rowOf(&o).effect}); got != want {
			t.Errorf("%d with Retry-After: %+v, want %+v", code, got, want)
		}
		kills := want.effect == endsDialog || code == 481
		if killsDialog(&o) != kills {
			t.Errorf("%d kills the dialog: %v, want %v", code, !kills, kills)
		}
	}
	for _, kind := range []dialogs.OutcomeKind{dialogs.TimedOut, dialogs.Unreachable} {
		o := dialogs.Outcome{Kind: kind, RetryAfter: -1}
		if worthOf(&o, false) != worthFailure || worthOf(&o, true) != worthFailure || killsDialog(&o) {
			t.Errorf("%v is no failure of the usage", kind)
		}
	}
	for _, code := range []int{-1, 0, 100, 199, 700, 1 << 30} {
		if o := (dialogs.Outcome{Status: code}); isOK(&o) || worthOf(&o, false) == worthOK {
			t.Errorf("status %d is a success", code)
		}
	}
}

// TestVerdicts has what the server is answered to each kind of outcome, for
// every REWATCH_ANSWER.
func TestVerdicts(t *testing.T) {
	type verdict struct {
		relay  bool
		status int
		failed bool
	}
	relay, gone, silence := verdict{relay: true}, verdict{status: 481, failed: true}, verdict{failed: true}
	relayed := verdict{relay: true, failed: true}
	tests := []struct {
		name                      string
		outcome                   dialogs.Outcome
		by481, passthrough, quiet verdict
	}{
		{"200", dialogs.Outcome{Status: 200}, relay, relay, relay},
		{"401", dialogs.Outcome{Status: 401}, relay, relay, relay},
		{"407", dialogs.Outcome{Status: 407}, relay, relay, relay},
		{"491", dialogs.Outcome{Status: 491}, relay, relay, relay},
		{"302", dialogs.Outcome{Status: 302}, gone, relayed, silence},
		{"400", dialogs.Outcome{Status: 400}, gone, relayed, silence},
		{"480", dialogs.Outcome{Status: 480}, gone, relayed, silence},
		{"481", dialogs.Outcome{Status: 481}, relayed, relayed, silence},
		{"500", dialogs.Outcome{Status: 500}, gone, relayed, silence},
		{"603", dialogs.Outcome{Status: 603}, gone, relayed, silence},
		{"timeout", dialogs.Outcome{Kind: dialogs.TimedOut}, gone, relayed, silence},
		{"unreachable", dialogs.Outcome{Kind: dialogs.Unreachable}, gone, relayed, silence},
	}
	for _, tt := range tests {
		for answer, want := range map[Answer]verdict{
			Answer481: tt.by481, AnswerPassthrough: tt.passthrough, AnswerSilent: tt.quiet,
		} {
			t.Run(tt.name+"/"+answer.String(), func(t *testing.T) {
				m, _ := newTestMonitor(Config{Answer: answer})
				ref, _ := m.Notify(notifyMessage("call", 1))
				o := tt.outcome
				o.RetryAfter, o.CSeq, o.At = -1, 1, time.Now()
				v := m.NotifyDone(ref, o)
				if got := (verdict{v.Relay, v.Status, len(m.subs[shardOf(ref)].unannounced) > 0}); got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		}
	}
}

func TestCause(t *testing.T) {
	tests := []struct {
		o           dialogs.Outcome
		text, label string
	}{
		{dialogs.Outcome{Kind: dialogs.TimedOut}, "408 Request Timeout", "timeout"},
		{dialogs.Outcome{Kind: dialogs.Unreachable}, "503 Service Unavailable", "unreachable"},
		{dialogs.Outcome{Status: 480, Reason: []byte("Temporarily Unavailable")}, "480 Temporarily Unavailable", "480"},
		{dialogs.Outcome{Status: 480}, "480", "480"},
		{dialogs.Outcome{Status: 499, Reason: []byte("a\r\nEvil: 1\x00\xff")}, "499 aEvil: 1", "other"},
		{dialogs.Outcome{Status: 503, Reason: make([]byte, 10000)}, "503", "503"},
		{dialogs.Outcome{Status: 500, Reason: []byte(long("x", 100))}, "500 " + long("x", 64), "500"},
	}
	for _, tt := range tests {
		if text, label := causeOf(&tt.o), causeLabel(&tt.o); text != tt.text || label != tt.label {
			t.Errorf("%q %q, want %q %q", text, label, tt.text, tt.label)
		}
	}
}

// TestMetricsAreBounded: no message makes a new label.
func TestMetricsAreBounded(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := New(NewTable(Config{}, reg), newRecorder(), zerolog.Nop(), reg)
	count := func() (n int) {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			n += len(f.GetMetric())
		}
		return n
	}
	before := count()
	for i := range 1000 {
		msg := notifyMessage(long("c", 1+i%10), 1)
		msg.Event = asEvent("evil" + long("x", i%50))
		ref, _ := m.Notify(msg)
		m.NotifyDone(ref, dialogs.Outcome{At: time.Now(), CSeq: 1, Status: 100 + i, RetryAfter: -1})
	}
	if grown := count() - before; grown > 80 {
		t.Errorf("%d new time series", grown)
	}
}

// TestLateBeforeAnnounced: the 2xx comes in the very moment in which the server is told
// that the NOTIFY has failed. Nobody hears of a failure then.
func TestLateBeforeAnnounced(t *testing.T) {
	m, rec := newTestMonitor(Config{})
	ref, _ := m.Notify(notifyMessage("call", 1))
	m.NotifyDone(ref, dialogs.Outcome{Kind: dialogs.TimedOut, At: time.Now(), RetryAfter: -1, CSeq: 1})
	m.NotifyDone(ref, dialogs.Outcome{Late: true, Status: 200, At: time.Now(), RetryAfter: -1, CSeq: 1})
	m.Announce(ref, 1)
	if lines := strings.Join(rec.lines, "\n"); strings.Contains(lines, policy.NotifyFailed.String()) {
		t.Error(lines)
	}
	sh := &m.subs[shardOf(ref)]
	if s, _ := sh.lookup(ref); s == nil || s.unheard != 0 {
		t.Error("it waits for something to be heard")
	}
}
