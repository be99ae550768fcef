package recovery_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/recovery"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// listener is a rig whose directory is a Monitor.
type listener struct {
	*rig
	monitor *monitor.Monitor
}

func newListener(t *testing.T, cfg recovery.Config) *listener {
	table := monitor.NewTable(monitor.Config{}, nil)
	l := &listener{rig: makeRig(t, cfg, store.NewMemoryStore(), table)}
	l.monitor = monitor.New(table, l.Engine, zerolog.New(io.Discard), nil)
	l.start()
	return l
}

// register lets a third-party REGISTER of alice pass, which the server accepts.
func (l *listener) register(callID string, expires int) {
	m := &dialogs.Message{
		At: time.Now(), ToURI: []byte(alice), CallID: []byte(callID), CSeq: 1,
		Contacts: dialogstest.Contacts("<sip:scscf.ims.example;lr>"), Expires: expires,
	}
	l.monitor.Register(m)
	m.Status = 200
	l.monitor.RegisterDone(m)
}

// A user who signs in again at once may be heard before the answer to the
// de-REGISTER is. They are back: their new registration stays, here and at the server, and
// the next NOTIFY that gets through is the end of the matter.
func TestBackBeforeSignedOut(t *testing.T) {
	const answerTakes = 400 * time.Millisecond
	for _, test := range []struct {
		name          string
		echo, proving bool // what comes before the answer, besides the REGISTER
	}{
		{name: "REGISTER"},
		{name: "the core's echo and REGISTER", echo: true},
		{name: "REGISTER and NOTIFY", proving: true},
		{name: "all of them", echo: true, proving: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := config()
			cfg.Rules.Threshold = 1
			synctest.Test(t, func(t *testing.T) {
				l := newListener(t, cfg)
				defer l.stop()
				l.register("first", 3600)
				l.offer(policy.NotifyFailed, "bob", "call-1")
				l.change(func() { l.delay = answerTakes })
				l.at(500*time.Millisecond + answerTakes + 30*time.Second + answerTakes/2)
				if s, _ := l.State(alice); s.Phase != policy.Exhausted || !s.Transmitted {
					t.Fatalf("no de-REGISTER is under way: %+v", s)
				}
				if test.echo {
					l.register("echo", 0)
				}
				l.register("second", 3600)
				if test.proving {
					l.offer(policy.NotifyOK, "bob", "call-2")
				}
				l.at(time.Minute)
				if u := l.monitor.User(alice); !u.Registered || !u.AtServer {
					t.Errorf("of the new registration is known: %+v", u)
				}
				if s, _ := l.State(alice); s.Phase != policy.Idle || s.Sent != 0 {
					t.Errorf("state %+v", s)
				}
				l.offer(policy.NotifyOK, "bob", "call-2")
				l.expectForgotten()
				l.expectSteps("MESSAGE", "REGISTER", "raise", "clear")
			})
		})
	}
}

// expectSteps compares the first words of the diary, sorted within each moment.
func (l *listener) expectSteps(want ...string) {
	l.t.Helper()
	var got []string
	l.change(func() {
		for _, line := range entries(l.diary...) {
			got = append(got, strings.Fields(line)[1])
		}
	})
	if strings.Join(got, " ") != strings.Join(want, " ") {
		l.t.Errorf("happened: %v, want %v", got, want)
	}
}

// If the de-REGISTER fails they are registered all the same, and are left alone.
func TestBackBeforeSigningOutFails(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold = 1
	synctest.Test(t, func(t *testing.T) {
		l := newListener(t, cfg)
		defer l.stop()
		l.register("first", 3600)
		l.offer(policy.NotifyFailed, "bob", "call-1")
		l.at(30 * time.Second)
		l.change(func() {
			l.delay = time.Second
			l.answer = func(string) dialogs.Result { return dialogs.Result{Status: 500} }
		})
		l.at(31 * time.Second)
		l.register("second", 3600)
		l.at(5 * time.Minute)
		if s, _ := l.State(alice); s.Phase != policy.Exhausted || !s.StaysRegistered || s.Transmitted || s.DeregisterAlarm {
			t.Errorf("state %+v", s)
		}
		l.offer(policy.NotifyOK, "bob", "call-2")
		l.expectSteps("MESSAGE", "REGISTER", "raise", "clear")
	})
}
