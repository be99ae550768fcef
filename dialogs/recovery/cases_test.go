package recovery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// play is a Monitor and an Engine that see what came by in a case of the field.
type play struct {
	*rig
	monitor *monitor.Monitor
	cseq    uint32
}

// leg is one dialog of a phone.
type leg struct {
	gadget
	call, event, tag string
}

func playing(t *testing.T, threshold int, test func(*play)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Rules.Threshold, cfg.Rules.ResubscribeTimeout = threshold, time.Second
		table := monitor.NewTable(monitor.Config{}, nil)
		p := &play{rig: makeRig(t, cfg, store.NewMemoryStore(), table)}
		p.monitor = monitor.New(table, p.Engine, zerolog.Nop(), nil)
		p.start()
		p.register("sip:scscf.ims.example", 3600)
		test(p)
		p.stop()
	})
}

// register is a third-party REGISTER and its 200.
func (p *play) register(contact string, expires int) {
	p.cseq++
	m := &dialogs.Message{
		At: time.Now(), CallID: []byte("r"), CSeq: p.cseq, FromURI: []byte("sip:scscf.ims.example"), ToURI: []byte(alice),
		Contacts: []dialogs.Contact{{URI: []byte(contact), Expires: -1}}, Expires: expires,
	}
	p.monitor.Register(m)
	m.Status = 200
	p.monitor.RegisterDone(m)
	synctest.Wait()
}

// subscribe is a SUBSCRIBE to bob and its 200.
func (p *play) subscribe(l leg) {
	p.cseq++
	m := &dialogs.Message{
		At: time.Now(), CallID: []byte(l.call), CSeq: p.cseq, FromURI: []byte(alice), FromTag: []byte("w"), Expires: 600,
		ToURI: []byte("sip:bob@ims.example"), RequestURI: []byte("sip:bob@ims.example"), Event: dialogs.Event{Package: []byte(l.event)},
		Contacts: []dialogs.Contact{{URI: []byte(l.contact), Instance: []byte(l.id), Expires: -1}},
	}
	p.monitor.Subscribe(m)
	m.Status, m.ToTag = 200, []byte(l.tag)
	p.monitor.SubscribeDone(m)
	synctest.Wait()
}

// notify is a NOTIFY and its answer; 0: there is none. It gives what the server hears.
func (p *play) notify(l leg, status int) int {
	p.cseq++
	ref, ruling := p.monitor.Notify(&dialogs.Message{
		At: time.Now(), Side: dialogs.Server, CallID: []byte(l.call), CSeq: p.cseq, Transaction: uint64(p.cseq) << 32, Expires: -1,
		FromURI: []byte("sip:bob@ims.example"), FromTag: []byte(l.tag), ToURI: []byte(alice), ToTag: []byte("w"),
		Event: dialogs.Event{Package: []byte(l.event)}, State: dialogs.SubscriptionState{Expires: 600},
		Contacts: []dialogs.Contact{{URI: []byte(l.contact), Expires: -1}},
	})
	o := dialogs.Outcome{At: time.Now(), CSeq: p.cseq, Status: status, RetryAfter: -1}
	if status == 0 {
		o.Kind = dialogs.TimedOut
	}
	v := p.monitor.NotifyDone(ref, o)
	p.monitor.Announce(ref, p.cseq)
	synctest.Wait()
	switch {
	case ruling.Status != 0:
		return ruling.Status
	case v.Relay:
		return status
	default:
		return v.Status
	}
}

// expectPeace checks that nobody was told, signed out or complained of.
func (p *play) expectPeace() {
	p.t.Helper()
	p.at(time.Hour)
	p.expect("")
}

// A phone that has moved and works; its old dialog times out.
func TestCaseZombieTimeout(t *testing.T) {
	playing(t, 2, func(p *play) {
		old := leg{gadget{"urn:uuid:a1", "sip:alice@10.9.0.1:5100"}, "old", "presence", "1"}
		now := leg{gadget{"urn:uuid:a1", "sip:alice@10.9.0.1:5200"}, "new", "presence", "2"}
		p.subscribe(old)
		p.notify(old, 200)
		p.subscribe(now)
		p.notify(now, 200)
		if got := p.notify(old, 0); got != 481 {
			t.Errorf("the server hears %d", got)
		}
		p.notify(now, 200)
		p.expectPeace()
	})
}

// A NOTIFY of a transfer in a call, after the call.
func TestCaseReferAfterBye(t *testing.T) {
	playing(t, 1, func(p *play) {
		if got := p.notify(leg{phoneA, "call", "refer", "1"}, 481); got != 481 {
			t.Errorf("the server hears %d", got)
		}
		if got := p.notify(leg{phoneA, "call", "refer", "1"}, 405); got != 405 {
			t.Errorf("the server hears %d", got)
		}
		p.expectPeace()
	})
}

// A client comes back with its old Call-ID and its old tag.
func TestCaseReturnWithOldCallID(t *testing.T) {
	playing(t, 1, func(p *play) {
		first, again := leg{gadget{"", phoneA.contact}, "c", "presence", "1"}, leg{gadget{"", phoneA.contact}, "c", "presence", "2"}
		p.subscribe(first)
		p.notify(first, 0)
		p.at(600 * time.Millisecond)
		p.subscribe(again)
		p.notify(again, 200)
		p.expect(`500ms MESSAGE 1 of 1 to sip:alice@ims.example by sip:scscf.ims.example: sip:bob@ims.example`)
		p.expectMetric(1, "rewatch_recoveries_total", "result", "recovered")
		p.expectPeace()
	})
}

// Two phones, of which one is dead: that one's Contact goes, whichever broke last. The
// server goes on with the user.
func TestCaseTwoDevices(t *testing.T) {
	for name, lastly := range map[string]func(*play, leg){
		"the other one works": func(p *play, b leg) { p.notify(b, 200) },
		"the other one broke and came back": func(p *play, b leg) {
			p.notify(b, 480)
			back := b
			back.call, back.tag = "b2", "2"
			p.subscribe(back)
			p.notify(back, 200)
		},
	} {
		playing(t, 1, func(p *play) {
			a, b := leg{phoneA, "a", "presence", "1"}, leg{phoneB, "b", "presence", "1"}
			p.change(func() { p.answer = func(string) dialogs.Result { return dialogs.Result{Status: 200, Others: true} } })
			for _, l := range []leg{a, b} {
				p.subscribe(l)
				p.notify(l, 200)
			}
			p.notify(a, 0)
			p.at(time.Second)
			lastly(p, b)
			p.at(time.Minute)
			if n := p.lines(`REGISTER`); n != 1 || p.lines(`at core by sip:scscf.ims.example: "`+phoneA.contact+`"`) != 1 {
				t.Errorf("%s: %d de-REGISTERs: %v", name, n, p.diary)
			}
			if u := p.monitor.User(alice); !u.Registered {
				t.Errorf("%s: %+v", name, u)
			}
			if s, _ := p.State(alice); s.Phase != policy.Idle || s.Sent != 0 || !s.Alarm {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
}

// A user signs out, and a NOTIFY comes after.
func TestCaseSignedOut(t *testing.T) {
	playing(t, 1, func(p *play) {
		l := leg{phoneA, "a", "presence", "1"}
		p.subscribe(l)
		p.notify(l, 200)
		p.at(time.Second)
		p.register("sip:scscf.ims.example", 0)
		p.notify(l, 480)
		p.notify(l, 0)
		p.expectPeace()
	})
}

// A standard client that does not know the MESSAGE comes back by its refresh.
func TestCaseDeafClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Rules.Patience = policy.PatienceRefresh
		table := monitor.NewTable(monitor.Config{}, nil)
		p := &play{rig: makeRig(t, cfg, store.NewMemoryStore(), table)}
		p.monitor = monitor.New(table, p.Engine, zerolog.Nop(), nil)
		p.start()
		p.register("sip:scscf.ims.example", 3600)
		l := leg{phoneA, "a", "presence", "1"}
		p.subscribe(l)
		p.notify(l, 0)
		p.at(540 * time.Second)
		refresh := &dialogs.Message{
			At: time.Now(), CallID: []byte("a"), CSeq: 1000, FromURI: []byte(alice), FromTag: []byte("w"), ToTag: []byte("1"), Expires: 600,
			ToURI: []byte("sip:bob@ims.example"), Event: dialogs.Event{Package: []byte("presence")},
		}
		if r := p.monitor.Subscribe(refresh); r.Status != 481 {
			t.Fatalf("the refresh gets %+v", r)
		}
		p.at(545 * time.Second)
		back := leg{phoneA, "b", "presence", "2"}
		p.subscribe(back)
		p.notify(back, 200)
		if p.lines("MESSAGE") != 3 || p.lines("REGISTER") != 0 || p.lines("raise") != 0 {
			t.Errorf("%v", p.diary)
		}
		p.expectMetric(1, "rewatch_returns_total", "by", "refresh")
		p.stop()
	})
}
