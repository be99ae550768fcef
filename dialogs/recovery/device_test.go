package recovery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/agent"
	"rewatch/policy"
)

// gadget is a device of alice: its identity and its Contact.
type gadget struct{ id, contact string }

var (
	phoneA = gadget{"urn:uuid:a", "sip:alice@10.9.0.1"}
	phoneB = gadget{"urn:uuid:b", "sip:alice@10.9.0.2"}
)

func (r *rig) happens(p gadget, kind policy.EventKind, callID string) {
	sub := broken("bob", callID)
	sub.Device, sub.Contact = p.id, p.contact
	r.Offer(alice, policy.Event{Kind: kind, At: time.Now(), Sub: sub})
	synctest.Wait()
}

// Two phones, one is dead: exactly its binding goes, and the server hears of no end.
func TestOneOfTwoDevicesIsSignedOut(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold = 1
	inBubble(t, cfg, func(r *rig) {
		r.change(func() {
			u := r.users[alice]
			u.AtServer, u.Contacts = true, []string{phoneB.contact, phoneA.contact}
			r.users[alice] = u
			r.answer = func(string) dialogs.Result { return dialogs.Result{Status: 200, Others: true} }
		})
		r.happens(phoneA, policy.NotifyFailed, "a-1")
		r.happens(phoneB, policy.NotifyFailed, "b-1")
		r.at(2 * time.Second)
		r.happens(phoneB, policy.Subscribed, "b-2")
		r.happens(phoneB, policy.NotifyOK, "b-2")
		r.at(time.Minute)
		r.expect(`
			500ms   MESSAGE 1 of 1 to sip:alice@ims.example` + byScscf + `: bob bob
			30.51s  raise watcher-exhausted of sip:alice@ims.example, minor
			30.51s  REGISTER sip:alice@ims.example at core` + byScscf + `: "sip:alice@10.9.0.1"`)
		// The alarm is about the dead one.
		r.happens(phoneB, policy.NotifyOK, "b-2")
		r.at(2 * time.Minute)
		r.happens(phoneA, policy.Subscribed, "a-2")
		r.happens(phoneA, policy.NotifyOK, "a-2")
		r.expect(`2m0s clear watcher-exhausted of sip:alice@ims.example`)
		r.expectMetric(1, "rewatch_returns_total", "by", "message")
	})
}

// Both are dead: both go, and with them the user. Where the server is the registrar it
// has the bindings themselves.
func TestBothDevicesAreSignedOut(t *testing.T) {
	for _, scscf := range []string{"sip:scscf", ""} {
		cfg := config()
		cfg.Rules.Threshold = 1
		inBubble(t, cfg, func(r *rig) {
			r.change(func() { r.users[alice] = dialogs.User{AOR: alice, Registered: true, AtServer: true, SCSCF: scscf} })
			r.happens(phoneA, policy.NotifyFailed, "a-1")
			r.happens(phoneB, policy.NotifyFailed, "b-1")
			r.at(time.Minute)
			told := `
			30.53s  REGISTER sip:alice@ims.example at server: "sip:scscf"`
			if scscf == "" {
				told = `
			30.53s  REGISTER sip:alice@ims.example at server: "sip:alice@10.9.0.1"
			30.54s  REGISTER sip:alice@ims.example at server: "sip:alice@10.9.0.2"`
			}
			r.expect(`
			500ms   MESSAGE 1 of 1 to sip:alice@ims.example by ` + scscf + `: bob bob
			30.51s  raise watcher-exhausted of sip:alice@ims.example, minor
			30.51s  REGISTER sip:alice@ims.example at core by ` + scscf + `: "sip:alice@10.9.0.1"
			30.52s  REGISTER sip:alice@ims.example at core by ` + scscf + `: "sip:alice@10.9.0.2"
			30.53s  signed out sip:alice@ims.example` + told)
		})
	}
}

// Whoever is not to be signed out is not to be banned: a resource list server, a user of
// a foreign domain, an emergency.
func TestWhoIsBanned(t *testing.T) {
	for name, test := range map[string]struct {
		user dialogs.User
		want bool
	}{
		"registered": {dialogs.User{AOR: alice, Registered: true}, true},
		"foreign":    {dialogs.User{AOR: alice}, false},
		"emergency":  {dialogs.User{AOR: alice, Registered: true, Emergency: true}, false},
	} {
		cfg := config()
		cfg.Rules.Threshold, cfg.Rules.OnThreshold = 1, policy.Ban
		inBubble(t, cfg, func(r *rig) {
			r.change(func() { r.users[alice] = test.user })
			r.happens(phoneA, policy.NotifyFailed, "a-1")
			now := r.at(time.Minute)
			s, _ := r.State(alice)
			if r.Banned(alice, now) != test.want || s.BanAlarm != test.want || s.StaysRegistered == test.want || !s.Alarm {
				t.Errorf("%s: banned %t, %+v", name, r.Banned(alice, now), s)
			}
		})
	}
}

// A device of which no Contact is known is left alone: "*" would sign out all of them.
func TestUnknownContact(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold = 1
	inBubble(t, cfg, func(r *rig) {
		r.change(func() {
			r.users[alice] = dialogs.User{AOR: alice, Registered: true, Contacts: []string{phoneA.contact, phoneB.contact}}
		})
		r.happens(gadget{}, policy.NotifyFailed, "a-1")
		r.at(time.Minute)
		if s, _ := r.State(alice); !s.StaysRegistered {
			t.Errorf("%+v", s)
		}
		r.expectMetric(1, "rewatch_deregistrations_total", "result", "skipped", "target", "core")
	})
}

// A client that cannot take the MESSAGE is told once, with patience none too, and not
// given up.
func TestClientCannotTakeMessage(t *testing.T) {
	for _, status := range []int{405, 415, 488, 501} {
		cfg := config()
		cfg.Rules.Threshold = 1
		inBubble(t, cfg, func(r *rig) {
			r.change(func() { r.answer = func(string) dialogs.Result { return dialogs.Result{Status: status} } })
			r.happens(phoneA, policy.NotifyFailed, "a-1")
			r.at(time.Hour)
			if s, _ := r.State(alice); s.Sent != 0 || s.Phase != policy.Idle || r.lines("MESSAGE") != 1 || r.lines("REGISTER") != 0 {
				t.Errorf("%d: %d MESSAGEs, %d de-REGISTERs, %+v", status, r.lines("MESSAGE"), r.lines("REGISTER"), s)
			}
			r.expectMetric(1, "rewatch_messages_total", "result", "unsupported")
		})
	}
}

// With patience a standard client has until its own refresh was due.
func TestPatience(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold, cfg.Rules.Patience = 1, policy.PatienceRefresh
	inBubble(t, cfg, func(r *rig) {
		sub := broken("bob", "a-1")
		sub.Due = time.Now().Add(632 * time.Second)
		r.Offer(alice, policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: sub})
		r.at(631 * time.Second)
		r.expect(`500ms MESSAGE 1 of 1 to sip:alice@ims.example` + byScscf + `: bob`)
		r.at(640 * time.Second)
		r.expect(`
			10m32s    raise watcher-exhausted of sip:alice@ims.example, minor
			10m32s    REGISTER sip:alice@ims.example at core` + byScscf + `: "sip:alice@192.0.2.7:5066"
			10m32.01s signed out sip:alice@ims.example`)
	})
}

// Somebody who was told and comes back in an outage needs no help after it, by whatever
// dialog of the same device.
func TestBackDuringTheHold(t *testing.T) {
	for name, test := range map[string]struct {
		by   gadget
		kind policy.EventKind
		call string
		told bool
	}{
		"a new SUBSCRIBE":               {phoneA, policy.Subscribed, "a-2", false},
		"a 2xx in another dialog":       {phoneA, policy.NotifyOK, "a-2", false},
		"a 2xx in the broken dialog":    {phoneA, policy.NotifyOK, "a-1", true},
		"another device's SUBSCRIBE":    {phoneB, policy.Subscribed, "b-2", true},
		"another device's NOTIFY":       {phoneB, policy.NotifyOK, "b-2", true},
		"the end of the broken dialog":  {phoneA, policy.Ended, "a-1", false},
		"the end of some other dialog":  {phoneA, policy.Ended, "a-3", true},
		"another phone's end of dialog": {phoneB, policy.Ended, "a-1", true},
	} {
		lost := policy.Broken{Event: "presence", Resource: "bob", CallID: "a-1", Device: phoneA.id, Contact: phoneA.contact}
		inTown(t, townConfig(), 40, 1, func(w *town) {
			p := w.phones[3]
			w.at(time.Second)
			w.silence(0, true)
			w.run(100)
			w.at(50 * time.Second)
			w.Failed(dialogs.Failure{AOR: "sip:dora@ims.example", Event: policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: lost}, Hop: p.hop, Sent: time.Now().Add(-28 * time.Second), Silent: true})
			sub := lost
			sub.CallID, sub.Device, sub.Contact = test.call, test.by.id, test.by.contact
			w.Offer("sip:dora@ims.example", policy.Event{Kind: test.kind, At: time.Now(), Sub: sub})
			if got := w.Interested("sip:dora@ims.example"); got != test.told {
				t.Errorf("%s: help is needed: %t", name, got)
			}
		})
	}
}

// Clients differ in what brings them back: the operator says so by their User-Agent, and
// sees what they know.
func TestSignalByAgent(t *testing.T) {
	cfg := config()
	cfg.Agents = agent.Rules{
		{Pattern: "linphone*", Signal: agent.Signal{Message: true}}, {Pattern: "baresip*", Signal: agent.Signal{Notify: true}},
	}
	cfg.Signal = agent.Signal{Message: true, Notify: true}
	for software, want := range map[string]string{
		"Linphone/5": "500ms MESSAGE 1 of 3 to sip:alice@ims.example" + byScscf + ": bob",
		"baresip/1":  "500ms NOTIFY terminated a-1",
		"other":      "500ms MESSAGE 1 of 3 to sip:alice@ims.example" + byScscf + ": bob\n500ms NOTIFY terminated a-1",
	} {
		inBubble(t, cfg, func(r *rig) {
			r.change(func() { r.dialogs["a-1"] = true })
			sub := broken("bob", "a-1")
			sub.Agent = software
			r.Failed(dialogs.Failure{AOR: alice, Event: policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: sub}})
			r.at(time.Second)
			r.expect(want)
			sub.CallID = "a-2"
			r.Offer(alice, policy.Event{Kind: policy.NotifyOK, At: time.Now(), Sub: sub})
			synctest.Wait()
			by := policy.ByMessage
			if software == "baresip/1" {
				by = policy.ByNotify
			}
			c := r.Clients()[agent.Family(software)]
			if c.Failures != 1 || c.Returns[by] != 1 {
				t.Errorf("%s: %+v", software, c)
			}
		})
	}
}

// A hook that is not told the Contact would end the other phone as well: it is asked only
// where there is none, or where the operator means all of them. One that is told says
// nothing of the phones that stay, and they stay.
func TestHookAndOtherDevices(t *testing.T) {
	const first = `
			500ms   MESSAGE 1 of 1 to sip:alice@ims.example` + byScscf + `: bob
			30.51s  raise watcher-exhausted of sip:alice@ims.example, minor`
	const all, one = `
			30.51s  REGISTER sip:alice@ims.example at core` + byScscf + `: ""`, `
			30.51s  REGISTER sip:alice@ims.example at core` + byScscf + `: "sip:alice@10.9.0.1"`
	const gone = `
			30.52s  signed out sip:alice@ims.example
			30.52s  REGISTER sip:alice@ims.example at server: "sip:scscf.ims.example:6060;lr"`
	for name, c := range map[string]struct {
		takesAll, everything bool
		contacts             []string
		want                 string
	}{
		"no {contact}, another phone":        {true, false, []string{phoneB.contact, phoneA.contact}, first},
		"no {contact}, only another is left": {true, false, []string{phoneB.contact}, first},
		"no {contact}, no other":             {true, false, []string{phoneA.contact + ":5060;ob"}, first + all + gone},
		"no {contact}, none is left":         {true, false, nil, first + all + gone},
		"no {contact}, all are meant":        {true, true, []string{phoneB.contact, phoneA.contact}, first + all + gone},
		"{contact}, another phone":           {false, false, []string{phoneB.contact, phoneA.contact}, first + one},
		"{contact}, no other":                {false, false, []string{phoneA.contact}, first + one + gone},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			cfg.Rules.Threshold = 1
			cfg.ByHook, cfg.HookTakesAll, cfg.DeregisterAll = true, c.takesAll, c.everything
			inBubble(t, cfg, func(r *rig) {
				r.change(func() {
					u := r.users[alice]
					u.AtServer, u.Contacts = true, c.contacts
					r.users[alice] = u
				})
				r.happens(phoneA, policy.NotifyFailed, "a-1")
				r.at(time.Minute)
				r.expect(c.want)
				if spared := c.want == first; spared != (r.metric("rewatch_deregistrations_total", "result", "skipped", "target", "core") == 1) {
					t.Error("it is not counted right whether the user was spared")
				}
			})
		})
	}
}
