package recovery_test

import (
	"testing"
	"time"

	"rewatch/dialogs"
)

// A phone that tells nobody who it is has changed networks, and has another Contact: that is
// another device. When its old dialog fails, what it had there goes and nothing else: the
// user stays, here and at the server, and the new dialog works on.
func TestCaseMovedWithoutInstance(t *testing.T) {
	playing(t, 2, func(p *play) {
		p.change(func() { p.answer = func(string) dialogs.Result { return dialogs.Result{Status: 200, Others: true} } })
		old := leg{gadget{"", "sip:alice@10.9.0.1:5100"}, "old", "presence", "1"}
		now := leg{gadget{"", "sip:alice@10.7.0.9:5200"}, "new", "presence", "2"}
		p.subscribe(old)
		p.notify(old, 200)
		p.at(time.Minute)
		p.subscribe(now)
		p.notify(now, 200)
		p.notify(old, 0)
		p.at(2 * time.Minute)
		if got := p.notify(now, 200); got != 200 {
			t.Errorf("the server hears %d of the dialog that works", got)
		}
		if got := p.notify(old, 200); got != 481 {
			t.Errorf("the server hears %d of the dialog that is over", got)
		}
		if u := p.monitor.User(alice); !u.Registered {
			t.Errorf("the registration is forgotten: %+v", u)
		}
		p.at(50 * time.Minute)
		p.expect(`1m0.5s MESSAGE 1 of 2 to sip:alice@ims.example by sip:scscf.ims.example: sip:bob@ims.example
			1m1.51s MESSAGE 2 of 2 to sip:alice@ims.example by sip:scscf.ims.example: sip:bob@ims.example
			1m3.52s REGISTER sip:alice@ims.example at core by sip:scscf.ims.example: "sip:alice@10.9.0.1:5100"
			1m3.52s raise watcher-exhausted of sip:alice@ims.example, minor`)
	})
}

// A phone is known by its identity where both dialogs tell it, else by its Contact: its old
// dialog may fail in every way, and nobody is told.
func TestCaseMovedAndKnown(t *testing.T) {
	old := leg{gadget{"urn:uuid:a1", "sip:alice@10.9.0.1:5100"}, "old", "presence", "1"}
	for name, now := range map[string]leg{
		"the same Contact, without instance": {gadget{"", "sip:alice@10.9.0.1:5100"}, "new", "presence", "2"},
		"another Contact, by instance":       {gadget{"urn:uuid:a1", "sip:alice@10.7.0.9:5200"}, "new", "presence", "2"},
	} {
		for _, status := range []int{0, 408, 480, 481} {
			playing(t, 1, func(p *play) {
				p.subscribe(old)
				p.notify(old, 200)
				p.subscribe(now)
				p.notify(now, 200)
				if got := p.notify(old, status); got != 481 {
					t.Errorf("%s: the server hears %d upon %d", name, got, status)
				}
				p.expectPeace()
			})
		}
	}
}
