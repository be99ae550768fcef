package monitor

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/policy"
)

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
		msg.Event = dialogstest.Event("evil" + long("x", i%50))
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
	if s, _ := sh.lookup(ref); s == nil || s.untold != 0 {
		t.Error("it waits for something to be heard")
	}
}
