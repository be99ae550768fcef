package monitor

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/policy"
)

var (
	_ dialogs.Directory = (*Monitor)(nil)
	_ dialogs.Recovery  = (*recorder)(nil)
)

func long(s string, n int) string { return strings.Repeat(s, n) }

// notifyMessage is a NOTIFY to alice about bob.
func notifyMessage(callID string, cseq uint32) *dialogs.Message {
	return &dialogs.Message{
		At: time.Now(), Side: dialogs.Server, Source: netip.MustParseAddrPort("127.0.0.1:5070"), Transport: "udp",
		Contacts: dialogstest.Target("sip:alice@10.0.0.1:5060;ob"),
		CallID:   []byte(callID), CSeq: cseq,
		FromURI: []byte("sip:bob@ims.example"), FromTag: []byte("server-tag"),
		ToURI: []byte("sip:alice@ims.example"), ToTag: []byte("watcher-tag"),
		Event: dialogstest.Event("presence"), State: dialogstest.State("active;expires=599"),
		Expires: -1,
	}
}

func subscribeMessage(callID string, cseq uint32, expires int) *dialogs.Message {
	return &dialogs.Message{
		At: time.Now(), Side: dialogs.Core, Source: netip.MustParseAddrPort("10.0.0.7:5060"), Transport: "udp",
		RequestURI: []byte("sip:bob@ims.example"),
		CallID:     []byte(callID), CSeq: cseq,
		FromURI: []byte("sip:alice@ims.example"), FromTag: []byte("watcher-tag"),
		ToURI: []byte("sip:bob@ims.example"),
		Event: dialogstest.Event("presence"), Contacts: dialogstest.Contacts("<sip:alice@10.0.0.1:5060;ob>"),
		Expires: expires,
	}
}

// TestHotPathAllocates is about what it says in its name: nothing.
func TestHotPathAllocates(t *testing.T) {
	m, _ := newTestMonitor(Config{Events: []string{"reg", "presence"}})
	msg := notifyMessage("3848276298220188511@10.0.0.1", 1)
	msg.Event = dialogstest.Event("presence;id=1234")
	m.Notify(msg)
	reason := []byte("OK")
	allocated := testing.AllocsPerRun(1000, func() {
		msg.CSeq++
		ref, ruling := m.Notify(msg)
		if ref == 0 || ruling != (dialogs.Ruling{}) {
			t.Fatal("not tracked")
		}
		v := m.NotifyDone(ref, dialogs.Outcome{At: msg.At, Status: 200, Reason: reason, RetryAfter: -1, CSeq: msg.CSeq})
		if !v.Relay {
			t.Fatal("not relayed")
		}
	})
	if allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

// TestRefreshAllocates is about the same: whoever is known is subscribed and registered
// anew without an allocation.
func TestRefreshAllocates(t *testing.T) {
	m, _ := newTestMonitor(Config{})
	subscribe := subscribeMessage("3848276298220188511@10.0.0.1", 1, 600)
	subscribe.Identities = dialogstest.Identities("<tel:+15551234>, \"Alice\" <sip:alice@IMS.example>")
	m.Subscribe(subscribe)
	subscribe.Status, subscribe.ToTag = 200, []byte("server-tag")
	m.SubscribeDone(subscribe)
	register := subscribeMessage("register@10.0.0.1", 1, 3600)
	register.FromURI, register.ToURI = []byte("sip:scscf.ims.example"), register.FromURI
	register.Contacts = dialogstest.Contacts("<SIP:scscf.ims.example:6060>;expires=3600")
	own := subscribeMessage("own@10.0.0.9", 1, 3600)
	own.FromURI = []byte("sip:carol@ims.example")
	own.ToURI = own.FromURI
	own.Contacts = dialogstest.Contacts(`<sip:carol@10.0.0.9:5060>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e128>"`)
	again := func(msg *dialogs.Message, ask func(*dialogs.Message) dialogs.Ruling, done func(*dialogs.Message)) func() {
		return func() {
			msg.CSeq++
			msg.Status = 0
			if r := ask(msg); r != (dialogs.Ruling{}) {
				t.Fatal(r)
			}
			msg.Status = 200
			done(msg)
		}
	}
	for what, step := range map[string]func(){
		"SUBSCRIBE":                   again(subscribe, m.Subscribe, func(msg *dialogs.Message) { m.SubscribeDone(msg) }),
		"REGISTER":                    again(register, m.Register, m.RegisterDone),
		"REGISTER of the user itself": again(own, m.Register, m.RegisterDone),
	} {
		step()
		if n := testing.AllocsPerRun(1000, step); n != 0 {
			t.Error(what, n, "allocations")
		}
	}
	if u := m.User("sip:alice@ims.example"); !u.Registered || !u.AtServer || len(u.Contacts) != 1 {
		t.Errorf("%+v", u)
	}
}

// TestNotifyAgain knows a NOTIFY that was answered when the server, which has not
// heard it, sends it once more; and nothing else for it.
func TestNotifyAgain(t *testing.T) {
	m, _ := newTestMonitor(Config{})
	notify := func(what string, cseq uint32, transaction uint64, want bool) dialogs.Ref {
		t.Helper()
		msg := notifyMessage("c", cseq)
		msg.Transaction = transaction << 40
		ref, ruling := m.Notify(msg)
		if ruling.Again != want || want != (ref == 0) {
			t.Error(what, ref, ruling)
		}
		return ref
	}
	done := func(ref dialogs.Ref, cseq uint32, status int) {
		m.NotifyDone(ref, dialogs.Outcome{At: time.Now(), Status: status, CSeq: cseq, RetryAfter: -1})
	}
	first := notify("the first", 1, 1, false)
	notify("one that is still open", 1, 1, false)
	done(first, 1, 200)
	notify("one that was answered", 1, 1, true)
	notify("another transaction with its CSeq", 1, 2, false)
	second := notify("the next one", 2, 3, false)
	done(first, 1, 200)
	notify("the next one, when an older one was answered", 2, 3, false)
	done(second, 2, 491)
	notify("one that was refused for a while", 2, 3, false)
	notify("a late copy of the one before", 1, 1, true)
	notify("the next one, after that copy", 2, 3, false)
	untold := notify("one without a transaction", 3, 0, false)
	done(untold, 3, 200)
	notify("the same again", 3, 0, false)
	notify("an older one, when it is not known which was the last", 2, 3, false)
}

// TestLowerCSeq: no copy of a NOTIFY comes after the server's Timer F. What has a lower
// CSeq then is a NOTIFY of its own, of a server that has lost count, and is judged.
func TestLowerCSeq(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := newTestMonitor(Config{})
		notify := func(cseq uint32) bool {
			msg := notifyMessage("c", cseq)
			msg.Transaction = uint64(cseq) << 40
			_, ruling := m.Notify(msg)
			return ruling.Again
		}
		notify(7)
		time.Sleep(policy.TimerF - time.Second)
		if !notify(6) {
			t.Error("a late copy is judged")
		}
		time.Sleep(time.Second)
		if notify(5) {
			t.Error("a NOTIFY of its own passes without being judged")
		}
	})
}

func TestRefOutlivesNothing(t *testing.T) {
	m, rec := newTestMonitor(Config{})
	msg := notifyMessage("c1", 1)
	msg.State = dialogstest.State("terminated")
	old, _ := m.Notify(msg)
	m.NotifyDone(old, dialogs.Outcome{At: time.Now(), Status: 200, CSeq: 1, RetryAfter: -1})
	again, _ := m.Notify(notifyMessage("c1", 2))
	if old == again {
		t.Fatal("a Ref was given twice")
	}
	if v := m.NotifyDone(old, dialogs.Outcome{Kind: dialogs.TimedOut, At: time.Now(), CSeq: 1}); v.Relay || v.Status != 0 {
		t.Errorf("stale Ref: %+v", v)
	}
	for _, ref := range []dialogs.Ref{1, 1 << 63, ^dialogs.Ref(0), again + 1<<shardBits} {
		m.NotifyDone(ref, dialogs.Outcome{Kind: dialogs.TimedOut})
	}
	if len(rec.lines) > 0 {
		t.Error(rec)
	}
}

// TestNothingIsLeft: tables are empty again when all has expired.
func TestNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := newTestMonitor(Config{SignalNotify: true})
		m.Start(t.Context())
		for i := range 2000 {
			call := fmt.Sprint("call", i)
			switch i % 5 {
			case 0:
				m.Subscribe(subscribeMessage(call, 1, 300))
			case 1:
				ref, _ := m.Notify(notifyMessage(call, 1))
				o := dialogs.Outcome{At: time.Now(), Status: 480, RetryAfter: -1, CSeq: 1, Head: []byte("NOTIFY")}
				m.NotifyDone(ref, o)
			case 2:
				ref, _ := m.Notify(notifyMessage(call, 1))
				m.NotifyDone(ref, dialogs.Outcome{At: time.Now(), Status: 491, RetryAfter: -1, CSeq: 1})
			case 3:
				msg := subscribeMessage(call, 1, 300)
				m.Subscribe(msg)
				msg.Status, msg.ToTag = 200, []byte("server-tag")
				m.SubscribeDone(msg)
			case 4:
				msg := subscribeMessage(call, 1, 300)
				msg.ToURI = []byte("sip:user" + call + "@ims.example")
				m.Register(msg)
			}
		}
		if m.records.Load() != 1600 || m.registered.Load() != 400 {
			t.Errorf("%d subscriptions, %d registrations", m.records.Load(), m.registered.Load())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for i := range shards {
			sh, us := &m.subs[i], &m.users[i]
			if sh.chains.Len()+len(sh.waiting)+len(sh.heads)+sh.subs.Count() > 0 {
				t.Errorf("shard %d: %d chains, %d waiting, %d heads, %d records",
					i, sh.chains.Len(), len(sh.waiting), len(sh.heads), sh.subs.Count())
			}
			if us.byHash.Len()+us.byThread.Len()+us.users.Count()+us.nodes.Count()+us.threads.Count() > 0 {
				t.Errorf("users %d: %d, %d threads, %d records, %d nodes",
					i, us.byHash.Len(), us.threads.Count(), us.users.Count(), us.nodes.Count())
			}
		}
		if m.records.Load() != 0 || m.live.Load() != 0 || m.registered.Load() != 0 || m.heads.Load() != 0 {
			t.Error("the counts did not come back to zero")
		}
		if err := m.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestHostileText: what is too long or no text at all is not kept.
func TestHostileText(t *testing.T) {
	tests := map[string]func(*dialogs.Message){
		"call-id":         func(m *dialogs.Message) { m.CallID = []byte(long("c", 513)) },
		"binary call-id":  func(m *dialogs.Message) { m.CallID = []byte("a\x00b") },
		"no call-id":      func(m *dialogs.Message) { m.CallID = nil },
		"tag":             func(m *dialogs.Message) { m.ToTag = []byte(long("t", 256)); m.FromTag = m.ToTag },
		"event":           func(m *dialogs.Message) { m.Event = dialogstest.Event(long("e", 200)) },
		"uri":             func(m *dialogs.Message) { m.ToURI = []byte("sip:" + long("u", 1100) + "@h"); m.FromURI = m.ToURI },
		"no uri":          func(m *dialogs.Message) { m.ToURI, m.FromURI = nil, nil },
		"everything":      func(m *dialogs.Message) { *m = dialogs.Message{Side: m.Side, Event: dialogstest.Event("presence")} },
		"nothing at all":  func(m *dialogs.Message) { *m = dialogs.Message{Side: m.Side} },
		"event with a CR": func(m *dialogs.Message) { m.Event = dialogstest.Event("presence\rEvil") },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			m, _ := newTestMonitor(Config{})
			msg := notifyMessage("c1", 1)
			spoil(msg)
			if ref, ruling := m.Notify(msg); ref != 0 || ruling != (dialogs.Ruling{}) {
				t.Errorf("NOTIFY: %v %+v", ref, ruling)
			}
			msg = subscribeMessage("c1", 1, 600)
			spoil(msg)
			if ruling := m.Subscribe(msg); ruling != (dialogs.Ruling{}) || m.records.Load() != 0 {
				t.Errorf("SUBSCRIBE: %+v, %d kept", ruling, m.records.Load())
			}
		})
	}
}

// TestOneCallID: a peer that uses one Call-ID for all is not tracked for ever.
func TestOneCallID(t *testing.T) {
	m, _ := newTestMonitor(Config{})
	for i := range 200 {
		msg := notifyMessage("c1", 1)
		msg.FromTag = fmt.Append(nil, "tag", i)
		m.Notify(msg)
	}
	if n := m.records.Load(); n != maxChain {
		t.Errorf("%d kept", n)
	}
}

func TestUserContacts(t *testing.T) {
	m, _ := newTestMonitor(Config{})
	var refs []dialogs.Ref
	for i := range 100 {
		msg := notifyMessage(fmt.Sprint("c", i), 1)
		msg.Contacts = dialogstest.Target(fmt.Sprintf("sip:alice@10.0.0.%d", i/2))
		ref, _ := m.Notify(msg)
		refs = append(refs, ref)
	}
	for _, i := range []int{90, 40} {
		m.NotifyDone(refs[i], dialogs.Outcome{Kind: dialogs.TimedOut, At: time.Now(), CSeq: 1})
	}
	contacts := m.User("sip:alice@ims.example").Contacts
	if contacts[0] != "sip:alice@10.0.0.20" || contacts[1] != "sip:alice@10.0.0.45" || contacts[2] != "sip:alice@10.0.0.0" {
		t.Error(contacts)
	}
	if len(contacts) > maxContacts {
		t.Error(len(contacts), "contacts")
	}
}

func TestPages(t *testing.T) {
	m, _ := newTestMonitor(Config{})
	for i := range 250 {
		msg := notifyMessage(fmt.Sprint("c", i), 1)
		msg.ToURI = fmt.Appendf(nil, "sip:user%d@ims.example", i)
		m.Notify(msg)
	}
	seen, users := map[string]bool{}, map[string]bool{}
	for next := ""; ; {
		var page []SubscriptionView
		page, next = m.Subscriptions(next, 100)
		for _, v := range page {
			seen[v.CallID] = true
		}
		if next == "" {
			break
		}
	}
	for next := ""; ; {
		var page []WatcherView
		page, next = m.Watchers(next, 7, "")
		for _, v := range page {
			users[v.AOR] = true
		}
		if next == "" {
			break
		}
	}
	if len(seen) != 250 || len(users) != 250 {
		t.Errorf("%d subscriptions, %d users", len(seen), len(users))
	}
	if v, ok := m.Watcher("sip:user7@ims.example"); !ok || len(v.List) != 1 || v.Subscriptions != 1 {
		t.Errorf("%+v", v)
	}
	for _, cursor := range []string{"x", "-1", "99999999999", "4294967295"} {
		m.Subscriptions(cursor, -1)
	}
}

// TestRace runs everything at once, for the race detector.
func TestRace(t *testing.T) {
	m, _ := newTestMonitor(Config{SignalNotify: true, MaxSubscriptions: 50})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 300 {
				call := fmt.Sprint("c", (i*7+g)%60)
				sub := subscribeMessage(call, uint32(i), 600*(i%4)) // #nosec G115 -- small
				if i%3 == 0 {
					sub.ToTag = []byte("server-tag")
				}
				m.Subscribe(sub)
				sub.Status, sub.ToTag = 200+281*(i%11/10), []byte("server-tag")
				m.SubscribeDone(sub)
				sub.Status = 0
				m.Register(sub)
				ref, _ := m.Notify(notifyMessage(call, uint32(i)))                                                                                     // #nosec G115 -- small
				m.NotifyDone(ref, dialogs.Outcome{At: time.Now(), Status: 200 + 280*(i%5/4), RetryAfter: -1, CSeq: uint32(i), Head: []byte("NOTIFY")}) // #nosec G115 -- small
				m.Announce(ref, uint32(i))                                                                                                             // #nosec G115 -- small
				m.User("sip:alice@ims.example")
				m.Termination("sip:alice@ims.example", call, "presence")
				m.Subscriptions("", 10)
				expiry{m}.sweep(time.Now().Add(time.Duration(i) * time.Minute))
			}
		})
	}
	wg.Wait()
	expiry{m}.sweep(time.Now().Add(1000 * time.Hour))
	if m.records.Load() != 0 || m.live.Load() != 0 || m.registered.Load() != 0 || m.heads.Load() != 0 {
		t.Error("something is left")
	}
}
