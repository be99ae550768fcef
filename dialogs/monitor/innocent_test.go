package monitor

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/policy"
	"rewatch/policy/outage"
)

// phone is one device of alice.
type phone struct{ contact, instance string }

var (
	phoneA = phone{"sip:alice@10.9.0.1:5060", "urn:uuid:00000000-0000-1000-8000-0000000000aa"}
	moved  = phone{"sip:alice@10.9.0.1:5200", phoneA.instance}
	phoneB = phone{"sip:alice@10.9.0.2:5060", "urn:uuid:00000000-0000-1000-8000-0000000000bb"}
	// beside is another phone behind the same address and port.
	beside = phone{phoneA.contact, "urn:uuid:00000000-0000-1000-8000-0000000000cc"}
)

// call is one dialog of a phone.
type call struct {
	phone
	id, tag, event, resource string
}

// ward is a Monitor and what it offers.
type ward struct {
	*Monitor
	mu                sync.Mutex // what is offered may come from several goroutines
	failures, offered []string
	returned          []string
	last              policy.Event
	by                netip.AddrPort // hop of the last failure
	unsent            bool
}

func newWard() *ward {
	w := &ward{}
	w.Monitor = New(NewTable(Config{}, nil), wardRecorder{w}, zerolog.Nop(), nil)
	return w
}

type wardRecorder struct{ w *ward }

// wardHop is where the phones of a ward are heard from.
var wardHop = netip.MustParseAddrPort("192.0.2.9:5060")

func (r wardRecorder) Offer(_ string, e policy.Event) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.offered, r.w.last = append(r.w.offered, e.Kind.String()), e
}

func (r wardRecorder) Failed(f dialogs.Failure) {
	if f.Witness {
		return
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.failures, r.w.last = append(r.w.failures, f.Event.Sub.CallID), f.Event
	r.w.by, r.w.unsent = f.Hop, f.Unsent
}
func (wardRecorder) Passed(time.Time, netip.AddrPort, outage.Passes) {}
func (wardRecorder) Heard(time.Time, netip.AddrPort, outage.Passes)  {}
func (r wardRecorder) Returned(agent string, by policy.By) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.returned = append(r.w.returned, agent+" by "+by.String())
}
func (wardRecorder) Interested(string) bool         { return true }
func (wardRecorder) Banned(string, time.Time) bool  { return false }
func (wardRecorder) WhenSafe(_ string, then func()) { then() }
func (wardRecorder) Known(string) bool              { return true }
func (wardRecorder) Trace(string, dialogs.Step)     {}

const alice = "sip:alice@ims.test"

func (w *ward) subscribe(c call, cseq uint32, expires, status int) {
	contact := "<" + c.contact + ">"
	if c.instance != "" {
		contact += `;+sip.instance="<` + c.instance + `>"`
	}
	m := dialogs.Message{
		At: time.Now(), Source: wardHop, CallID: []byte(c.id), CSeq: cseq, FromURI: []byte(alice), FromTag: []byte("w" + c.id),
		ToURI: []byte(c.resource), RequestURI: []byte(c.resource), Event: dialogstest.Event(c.event), Contacts: dialogstest.Contacts(contact), Expires: expires,
	}
	if expires == 0 {
		m.ToTag = []byte(c.tag)
	}
	w.Subscribe(&m)
	m.ToTag, m.Status = []byte(c.tag), status
	w.SubscribeDone(&m)
}

// notify lets a NOTIFY of a dialog end, and gives the answer to the server.
func (w *ward) notify(c call, cseq uint32, o dialogs.Outcome) string {
	ref, r := w.Notify(&dialogs.Message{
		At: time.Now(), Side: dialogs.Server, CallID: []byte(c.id), CSeq: cseq, Transaction: uint64(cseq) << 32,
		FromURI: []byte(c.resource), FromTag: []byte(c.tag), ToURI: []byte(alice), ToTag: []byte("w" + c.id),
		Event: dialogstest.Event(c.event), State: dialogstest.State("active;expires=600"), Contacts: dialogstest.Target(c.contact), Expires: -1,
	})
	if r.Status != 0 {
		return fmt.Sprint(r.Status)
	}
	o.At, o.CSeq = time.Now(), cseq
	v := w.NotifyDone(ref, o)
	w.Announce(ref, cseq)
	switch {
	case v.Relay && o.Kind == dialogs.Responded:
		return fmt.Sprint(o.Status)
	case v.Status != 0:
		return fmt.Sprint(v.Status)
	default:
		return "silence"
	}
}

func answered(status int) dialogs.Outcome { return dialogs.Outcome{Status: status, RetryAfter: -1} }

// TestNeverFailed walks (kind of dialog) x (outcome) x (what else the device has).
func TestNeverFailed(t *testing.T) {
	old := call{phoneA, "old", "s1", "presence", "sip:bob@ims.test"}
	outcomes := map[string]dialogs.Outcome{
		"timeout": {Kind: dialogs.TimedOut, RetryAfter: -1}, "unreachable": {Kind: dialogs.Unreachable, RetryAfter: -1},
	}
	for _, status := range []int{200, 401, 403, 404, 405, 408, 480, 481, 482, 486, 489, 491, 500, 503, 603} {
		outcomes[fmt.Sprint(status)] = answered(status)
	}
	// What else there is, and whether it excuses every outcome, 481 alone, or none.
	type excuse int
	const (
		none excuse = iota
		forgotten
		everything
		ended
	)
	proven := func(c call) func(*ward) {
		return func(w *ward) {
			w.subscribe(c, 1, 600, 200)
			w.notify(c, 1, answered(200))
		}
	}
	newer := func(p phone, event, resource string) call { return call{p, "new", "s2", event, resource} }
	also := []struct {
		name   string
		happen func(*ward)
		excuse excuse
	}{
		{"nothing", func(*ward) {}, none},
		{"a newer one, accepted", func(w *ward) { w.subscribe(newer(phoneA, "presence", old.resource), 1, 600, 200) }, forgotten},
		{"a newer one, rejected", func(w *ward) { w.subscribe(newer(phoneA, "presence", old.resource), 1, 600, 403) }, none},
		{"a newer one, proven", proven(newer(phoneA, "presence", old.resource)), everything},
		{"a newer one, proven, after a move", proven(newer(moved, "presence", old.resource)), everything},
		{"a newer one under another Event id", proven(newer(moved, "presence;id=9", old.resource)), everything},
		{"a newer one with the old Call-ID", func(w *ward) {
			c := call{moved, "old", "s2", "presence", old.resource}
			w.subscribe(c, 2, 600, 200)
			w.notify(c, 1, answered(200))
		}, everything},
		{"another phone's", proven(newer(phoneB, "presence", old.resource)), none},
		{"another phone's behind the same address", proven(newer(beside, "presence", old.resource)), none},
		{"another event", proven(newer(phoneA, "dialog", old.resource)), none},
		{"another resource", proven(newer(phoneA, "presence", "sip:carol@ims.test")), none},
		{"a list of the resource", proven(newer(phoneA, "presence", old.resource+";pres-list=x")), none},
		{"a device of the resource", proven(newer(phoneA, "presence", old.resource+";gr=urn:uuid:1")), none},
		{"it has signed out", func(w *ward) { w.signOut(alice, time.Now()) }, ended},
		{"it has un-SUBSCRIBEd", func(w *ward) { w.subscribe(old, 3, 0, 200) }, ended},
	}
	for _, made := range []struct {
		name string
		call call
		make func(*ward, call)
		// call: no SUBSCRIBE made the dialog.
		ofCall bool
	}{
		{"by a SUBSCRIBE", old, func(w *ward, c call) { w.subscribe(c, 1, 600, 200) }, false},
		{"by REFER", call{phoneA, "old", "s1", "refer", "sip:bob@ims.test"}, func(*ward, call) {}, true},
		{"talk", call{phoneA, "old", "s1", "talk", "sip:bob@ims.test"}, func(*ward, call) {}, true},
		{"hold", call{phoneA, "old", "s1", "hold", "sip:bob@ims.test"}, func(*ward, call) {}, true},
		{"a conference's", call{phoneA, "old", "s1", "conference", "sip:bob@ims.test"}, func(*ward, call) {}, true},
		{"out of any dialog", call{phoneA, "old", "", "message-summary", "sip:bob@ims.test"}, func(*ward, call) {}, true},
	} {
		for _, a := range also {
			for name, o := range outcomes {
				t.Run(made.name+"/"+a.name+"/"+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWard()
						made.make(w, made.call)
						time.Sleep(time.Second)
						a.happen(w)
						time.Sleep(time.Second)
						w.failures = nil
						got := w.notify(made.call, 9, o)

						plain := "silence" // what the phone said, or nothing
						if o.Kind == dialogs.Responded {
							plain = name
						}
						want, fails := "481", 1
						switch {
						case made.ofCall, name == "200", a.excuse == ended, name == "401", name == "491" && a.excuse != everything:
							want, fails = plain, 0
						case a.excuse == everything, a.excuse == forgotten && name == "481":
							fails = 0
						}
						if got != want || len(w.failures) != fails {
							t.Errorf("the server gets %s, want %s; %d failures, want %d", got, want, len(w.failures), fails)
						}
						if fails == 1 && (w.last.Sub.Device != phoneA.instance || w.last.Sub.Contact != phoneA.contact ||
							!w.last.Sub.Due.Equal(time.Now().Add(632*time.Second))) {
							t.Errorf("%+v failed", w.last.Sub)
						}
					})
				})
			}
		}
	}
}

// A user who is back after signing out is heard again.
func TestSignedOutAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard()
		c := call{phoneA, "c", "s", "presence", "sip:bob@ims.test"}
		w.subscribe(c, 1, 600, 200)
		time.Sleep(time.Second)
		w.signOut(alice, time.Now())
		time.Sleep(time.Second)
		w.offered = nil
		if got := w.notify(c, 2, answered(480)); got != "480" || len(w.failures) != 0 {
			t.Errorf("%s, %v", got, w.failures)
		}
		w.notify(c, 3, answered(200))
		if len(w.offered) != 1 || w.offered[0] != "notify-ok" {
			t.Errorf("offered %v", w.offered)
		}
		if got := w.notify(c, 4, answered(480)); got != "481" || len(w.failures) != 1 {
			t.Errorf("%s, %v", got, w.failures)
		}
	})
}

// A copy of the SUBSCRIBE that came by another way is refused as merged; what the first
// one made goes on.
func TestMergedSubscribe(t *testing.T) {
	for name, statuses := range map[string][]int{"first": {482, 200}, "last": {200, 482}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWard()
			c := call{phoneA, "c", "s", "presence", "sip:bob@ims.test"}
			for _, status := range statuses {
				w.subscribe(c, 1, 600, status)
			}
			if v, _ := w.Watcher(alice); len(v.List) != 1 || v.List[0].State != "active" {
				t.Errorf("482 %s: %+v", name, v.List)
			}
			if got := w.notify(c, 1, answered(480)); got != "481" || len(w.failures) != 1 {
				t.Errorf("482 %s: %s, %v", name, got, w.failures)
			}
		})
	}
}

// A loop that a NOTIFY of a subscription meets with tells of the path; a 482 that a phone
// gives in a call, or to what belongs to no dialog, is its own affair.
func TestWhose482(t *testing.T) {
	for _, c := range []struct {
		call       call
		subscribed bool
		faults     int
	}{
		{call{phoneA, "c", "s", "presence", "sip:bob@ims.test"}, true, 1},
		{call{phoneA, "c", "s", "refer", "sip:bob@ims.test"}, false, 0},
		{call{phoneA, "c", "s", "talk", "sip:bob@ims.test"}, false, 0},
		{call{phoneA, "c", "", "message-summary", "sip:bob@ims.test"}, false, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, faults := &ward{}, 0
			cfg := Config{RoutingFault: func(netip.AddrPort, string, int) { faults++ }}
			w.Monitor = New(NewTable(cfg, nil), wardRecorder{w}, zerolog.Nop(), nil)
			if c.subscribed {
				w.subscribe(c.call, 1, 600, 200)
				w.notify(c.call, 1, answered(200))
			}
			w.notify(c.call, 2, answered(482))
			if faults != c.faults || len(w.failures) != c.faults {
				t.Errorf("%s: %d routing faults, %d failures, want %d", c.call.event, faults, len(w.failures), c.faults)
			}
		})
	}
}

// What brings a client back: its own refresh, which is answered 481.
func TestReturnByRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard()
		c := call{phoneA, "c", "s", "presence", "sip:bob@ims.test"}
		w.subscribe(c, 1, 600, 200)
		w.notify(c, 1, dialogs.Outcome{Kind: dialogs.TimedOut, RetryAfter: -1})
		time.Sleep(8 * time.Minute)
		r := w.Subscribe(&dialogs.Message{
			At: time.Now(), CallID: []byte("c"), CSeq: 2, FromURI: []byte(alice), FromTag: []byte("wc"), ToURI: []byte(c.resource), ToTag: []byte("s"),
			Event: dialogstest.Event("presence"), Contacts: dialogstest.Contacts("<" + phoneA.contact + ">"), Expires: 600,
		})
		if r.Status != 481 {
			t.Fatalf("%+v", r)
		}
		time.Sleep(30 * time.Second)
		w.subscribe(call{moved, "d", "s", "presence;id=2", "sip:bob@ims.test"}, 1, 600, 200)
		if w.last.Kind != policy.Subscribed || w.last.By != policy.ByRefresh || w.last.Sub.Device != phoneA.instance {
			t.Errorf("%+v", w.last)
		}
		time.Sleep(2 * time.Minute)
		w.subscribe(call{moved, "e", "s", "presence", "sip:bob@ims.test"}, 1, 600, 200)
		if w.last.By != policy.ByUnknown {
			t.Errorf("%+v", w.last)
		}
	})
}

// A client may subscribe anew with its old Call-ID, tag and CSeq. A retransmission is
// none of that.
func TestOldCallID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard()
		c := call{phoneA, "c", "s", "presence", "sip:bob@ims.test"}
		w.subscribe(c, 1, 600, 200)
		w.subscribe(c, 1, 600, 200)
		if v, _ := w.Watcher(alice); len(v.List) != 1 {
			t.Errorf("%d subscriptions", len(v.List))
		}
		w.notify(c, 1, dialogs.Outcome{Kind: dialogs.TimedOut, RetryAfter: -1})
		again := c
		again.tag = "s2"
		w.offered = nil
		w.subscribe(again, 1, 600, 200)
		if len(w.offered) != 1 || w.last.Kind != policy.Subscribed || w.last.Sub.Tag != "s2" {
			t.Errorf("%v, %+v", w.offered, w.last)
		}
	})
}

// Where the server is the registrar, a REGISTER is the sum of its Contacts.
func TestRegistrarsContacts(t *testing.T) {
	const a, b, s = "<sip:alice@10.9.0.1>", "<sip:alice@10.9.0.2>", "<sip:scscf.ims.test>"
	for _, c := range []struct {
		name             string
		from             string
		request, respond string // Contacts
		expires          int    // of the request's header
		until            time.Duration
	}{
		{"one leaves, one stays", alice, a + ";expires=0", b + ";expires=500", -1, 500 * time.Second},
		{"the last one leaves", alice, a + ";expires=0", "", -1, 0},
		{"an old one leaves, a new one comes", alice, a + ";expires=0, " + b + ";expires=300", b + ";expires=300", 3600, 300 * time.Second},
		{"the other way round", alice, b + ";expires=300, " + a + ";expires=0", b + ";expires=300", 3600, 300 * time.Second},
		{"the other phone's lasts longer", alice, a, a + ";expires=60, " + b + ";expires=900", 60, 900 * time.Second},
		{"the other phone's is over sooner", alice, a, b + ";expires=10, " + a + ";expires=60", 60, 60 * time.Second},
		{"everything", alice, "*", "", 0, 0},
		{"a third party says so", "sip:scscf.ims.test", s, s + ";expires=3600", 0, 0},
		{"a third party's Expires", "sip:scscf.ims.test", s, s, 120, 120 * time.Second},
		{"a registrar that lists nothing", alice, a, "", 60, 60 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWard()
			register := func(cseq uint32, from, contacts string, expires int) *dialogs.Message {
				return &dialogs.Message{
					At: time.Now(), CallID: []byte("r"), CSeq: cseq, FromURI: []byte(from), ToURI: []byte(alice),
					Contacts: dialogstest.Contacts(contacts), Expires: expires,
				}
			}
			first := register(1, alice, a, 3600)
			w.Register(first)
			first.Status = 200
			w.RegisterDone(first)
			m := register(2, c.from, c.request, c.expires)
			w.Register(m)
			m.Status, m.Contacts, m.Expires = 200, dialogstest.Contacts(c.respond), -1
			w.RegisterDone(m)
			u := w.User(alice)
			if u.Registered != (c.until > 0) || u.Registered && !u.Until.Equal(time.Now().Add(c.until)) {
				t.Errorf("%s: registered %t until %s", c.name, u.Registered, u.Until)
			}
		})
	}
}

// What an earlier version has written is read.
func TestFirstFormat(t *testing.T) {
	s := subscription{phase: active, expires: 5, until: 9, asked: -1, proven: false}
	var b textBuilder
	for _, text := range []string{"call", "w", "n", "presence", alice, "sip:bob@ims.test", "sip:alice@10.9.0.1", "", ""} {
		b.addString(text)
	}
	s.text, s.ends = b.String(), b.ends
	now := appendSubscription(nil, &s, hop{})
	// The first format had neither the second octet of flags, nor the three numbers
	// before the hop, nor the last two texts.
	old := append([]byte{firstFormat}, now[1:3]...)
	head := len(now) - 3 - 2 - textLength(&s)
	old = append(append(old, now[4:head]...), now[head+3:len(now)-2]...)
	got, _, err := readSubscription(old)
	if err != nil || got.text != s.text || got.expires != 5 || got.until != 9 || got.device() != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func textLength(s *subscription) int {
	n := 0
	for i := range texts {
		n += 1 + len(s.part(i))
	}
	return n
}

// failed are the Call-IDs of the failures so far.
func (w *ward) failed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.failures)
}
