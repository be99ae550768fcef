package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/budget/budgettest"
	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/dialogs/store"
)

// Long names fill the room for texts before the number of subscriptions does, and
// give it back.
func TestTextsAreBounded(t *testing.T) {
	reg := prometheus.NewRegistry()
	const most = 10_000
	m := New(NewTable(Config{MaxSubscriptions: most}, reg), newRecorder(), zerolog.Nop(), reg)
	long := strings.Repeat("x", 900)
	now := time.Now()
	register := func(i int) {
		m.Register(&dialogs.Message{
			At: now, ToURI: fmt.Appendf(nil, "sip:r%d%s@ims.example", i, long), CallID: []byte("r"), CSeq: 1,
			Contacts: dialogstest.Contacts("<sip:" + long + ">"), Expires: 60,
		})
	}
	for i := range most / 2 {
		msg := subscribeMessage(fmt.Sprint("call", i), 1, 60)
		msg.FromURI = fmt.Appendf(nil, "sip:w%d%s@ims.example", i, long)
		msg.ToURI = []byte("sip:" + long + "@ims.example")
		m.Subscribe(msg)
		n := notifyMessage(fmt.Sprint("call", i), 1)
		n.State = dialogstest.State("active;expires=60")
		m.Notify(n)
		register(i)
	}
	if n := m.texts.Load(); n > textsEach*most || n < textsEach*most*9/10 {
		t.Errorf("%d bytes of text are kept, of %d", n, textsEach*most)
	}
	if n := m.records.Load() + m.registered.Load(); n == 0 || n >= most/2 {
		t.Errorf("%d are kept", n)
	}
	if gather(reg)["rewatch_untracked_total{full}"] == 0 {
		t.Error("what was not kept is not counted")
	}
	for range sweepParts {
		now = now.Add(time.Hour)
		expiry{m}.sweep(now)
	}
	if m.texts.Load() != 0 || m.records.Load() != 0 || m.registered.Load() != 0 {
		t.Errorf("left: %d bytes, %d subscriptions, %d registrations", m.texts.Load(), m.records.Load(), m.registered.Load())
	}
}

// SUBSCRIBEs that nobody answers have a part of the room. What exists has the rest:
// it is known by its NOTIFY.
func TestUnansweredSubscribesAreBounded(t *testing.T) {
	const most, part = 8000, 2000
	reg := prometheus.NewRegistry()
	m := New(NewTable(Config{MaxSubscriptions: most}, reg), newRecorder(), zerolog.Nop(), reg)
	for i := range most {
		m.Subscribe(subscribeMessage(fmt.Sprint("call", i), 1, 60))
	}
	if m.records.Load() != part || gather(reg)["rewatch_untracked_total{unconfirmed}"] != most-part {
		t.Errorf("%d are kept", m.records.Load())
	}
	for i := range most - part {
		if ref, _ := m.Notify(notifyMessage(fmt.Sprint("call", part+i), 1)); ref == 0 {
			t.Fatalf("NOTIFY %d is not tracked", i)
		}
	}
	m.Notify(notifyMessage("call0", 1)) // confirms one
	m.Subscribe(subscribeMessage("more", 1, 60))
	if m.pending.Load() != part-1 || m.records.Load() != most {
		t.Errorf("%d unanswered of %d; all the room is taken", m.pending.Load(), m.records.Load())
	}
	later := time.Now().Add(time.Minute)
	for i := range sweepParts {
		expiry{m}.sweep(later.Add(time.Duration(i) * time.Second))
	}
	if m.pending.Load() != 0 {
		t.Errorf("%d unanswered are left", m.pending.Load())
	}
}

// awayJournal takes nothing, and notes how much it was to take at most.
type awayJournal struct {
	store.Journal
	most int
}

func (j *awayJournal) Write(_ context.Context, batch []store.Entry) error {
	j.most = max(j.most, len(batch))
	return errors.New("away")
}

// While the Journal is away, what waits for it does not grow with time.
func TestKeeperIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(NewTable(Config{}, nil), newRecorder(), zerolog.Nop(), nil)
		journal := new(awayJournal)
		k := store.NewKeeper(store.KeeperConfig{Every: time.Second}, journal, zerolog.New(io.Discard), m.Source())
		k.Start(t.Context())
		one := func(call string) {
			n := notifyMessage(call, 1)
			n.At, n.State = time.Now(), dialogstest.State("active;expires=1")
			m.Notify(n)
		}
		for round := range 200 {
			for i := range 100 {
				one("stays") // again and again
				one(fmt.Sprintf("call%d-%d", round, i))
			}
			time.Sleep(time.Minute) // 64*T1 and more
			expiry{m}.sweep(time.Now())
		}
		if err := k.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if journal.most == 0 || journal.most > 2048+200 {
			t.Errorf("%d entries wait in the batch", journal.most)
		}
		for i := range m.subs {
			if n := len(m.subs[i].notes.changed); n > roomyNotes+2*m.subs[i].subs.Count()+1 {
				t.Errorf("%d notes wait in a shard of %d", n, m.subs[i].subs.Count())
			}
		}
	})
}

// A NOTIFY whose dialog is not known tells its watcher by To, unless the SUBSCRIBE
// had claimed to be of another user than it was.
func TestVeiledNotify(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := New(NewTable(Config{}, reg), newRecorder(), zerolog.Nop(), reg)
	veiled := func(call string) *dialogs.Message {
		n := notifyMessage(call, 1)
		n.IdentityDiffers = true
		return n
	}
	if ref, ruling := m.Notify(veiled("before")); ref != 0 || ruling != (dialogs.Ruling{}) || m.records.Load() != 0 {
		t.Errorf("it is tracked: %d, %+v", ref, ruling)
	}
	if gather(reg)["rewatch_untracked_total{veiled}"] != 1 {
		t.Error("it is not counted")
	}
	msg := subscribeMessage("seen", 1, 60)
	msg.Identities = dialogstest.Identities("<sip:mallory@ims.example>")
	m.Subscribe(msg)
	if ref, _ := m.Notify(veiled("seen")); ref == 0 {
		t.Error("one whose SUBSCRIBE was seen is not tracked")
	}
	if list, _ := m.Watchers("", 0, ""); len(list) != 1 || list[0].AOR != "sip:mallory@ims.example" {
		t.Errorf("watchers: %+v", list)
	}
}

// One watcher has its share, whatever it does, and another's subscription is tracked.
func TestShareOfAWatcher(t *testing.T) {
	const share = 10
	reg := prometheus.NewRegistry()
	m := New(NewTable(Config{MaxSubscriptions: 1000, MaxPerWatcher: share}, reg), newRecorder(), zerolog.Nop(), reg)
	ask := func(user string, n int) {
		msg := subscribeMessage(fmt.Sprint(user, n), 1, 60)
		msg.FromURI = []byte("sip:" + user + "@ims.example")
		m.Subscribe(msg)
	}
	for i := range 5 * share {
		ask("mallory", i)
	}
	if n := m.records.Load(); n != share || gather(reg)["rewatch_untracked_total{quota}"] != 4*share {
		t.Errorf("%d are kept", n)
	}
	ask("alice", 0)
	if m.records.Load() != share+1 {
		t.Error("alice is not tracked")
	}
	now := time.Now()
	for range sweepParts {
		now = now.Add(time.Hour)
		expiry{m}.sweep(now)
	}
	ask("mallory", 999)
	if m.records.Load() != 1 {
		t.Error("the share is not given back")
	}
}

// A SUBSCRIBE that nobody vouches for is nobody's; in a dialog that is known it is that
// dialog's.
func TestUnasserted(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := New(NewTable(Config{}, reg), newRecorder(), zerolog.Nop(), reg)
	posing := subscribeMessage("posing", 1, 60)
	posing.Unasserted = true
	m.Subscribe(posing)
	if m.records.Load() != 0 || gather(reg)["rewatch_untracked_total{unasserted}"] != 1 {
		t.Error("it is taken for its From's")
	}
	m.Subscribe(subscribeMessage("own", 1, 60))
	ref, _ := m.Notify(notifyMessage("own", 1))
	if ref == 0 {
		t.Fatal("it is not tracked")
	}
	for _, c := range []struct {
		name  string
		pose  func(*dialogs.Message)
		taken bool
	}{
		{"of another, asserted", func(m *dialogs.Message) {
			m.Unasserted, m.Identities = false, [][]byte{[]byte("sip:mallory@ims.example")}
		}, false},
		{"without the server's tag", func(m *dialogs.Message) { m.ToTag = nil }, false},
		{"with another tag of the server", func(m *dialogs.Message) { m.ToTag = []byte("x") }, false},
		{"with another tag of its own", func(m *dialogs.Message) { m.FromTag = []byte("x") }, false},
		{"with another Call-ID", func(m *dialogs.Message) { m.CallID = []byte("x") }, false},
		{"of the dialog", func(*dialogs.Message) {}, true},
	} {
		leave := subscribeMessage("own", 2, 0)
		leave.ToTag, leave.Unasserted = notifyMessage("own", 1).FromTag, true
		c.pose(leave)
		m.Subscribe(leave)
		if s, ok := m.load(ref); !ok || (s.phase == ending) != c.taken {
			t.Errorf("an un-SUBSCRIBE %s: taken %t", c.name, !c.taken)
		}
	}
}

// At the bound, whatever it is filled with, a Table takes no more memory than is stated.
func TestMemoryIsBounded(t *testing.T) {
	const most = 20_000
	long := func(i, n int) string { return fmt.Sprintf("sip:%d-%s@ims.example", i, strings.Repeat("x", n)) }
	register := func(m *Monitor, i, n int, more ...string) {
		to := long(i, n)
		msg := &dialogs.Message{
			At: time.Now(), ToURI: []byte(to), CallID: []byte("r"), CSeq: 1,
			Contacts: dialogstest.Contacts("<" + long(i, n) + ">"), Expires: 60,
		}
		for _, uri := range append([]string{to}, more...) {
			msg.Associated = append(msg.Associated, []byte(uri))
		}
		m.Register(msg)
	}
	leave := func(m *Monitor, i, n int) {
		m.Register(&dialogs.Message{At: time.Now(), ToURI: []byte(long(i, n)), CallID: []byte("r"), CSeq: 2, Contacts: dialogstest.Contacts("*")})
	}
	subscribe := func(m *Monitor, i, n int) {
		notify := notifyMessage(long(i, min(n, 400)), 1)
		notify.ToURI, notify.State = []byte(long(i, n)), dialogstest.State("active;expires=60")
		ref, _ := m.Notify(notify)
		m.NotifyDone(ref, dialogs.Outcome{Kind: dialogs.Responded, Status: 491, CSeq: 1, At: time.Now(), Reason: []byte(long(i, 60))})
	}
	for name, fill := range map[string]func(m *Monitor, i int){
		"long names":      func(m *Monitor, i int) { subscribe(m, i, 900) },
		"many":            func(m *Monitor, i int) { subscribe(m, i, 1); register(m, 2*most+i, 1) },
		"long registered": func(m *Monitor, i int) { register(m, i, 900) },
		"registered and gone": func(m *Monitor, i int) { // a note of each is left
			for j := range 10 {
				register(m, 10*i+j, 1)
				leave(m, 10*i+j, 1)
			}
		},
		"long registered and gone": func(m *Monitor, i int) {
			register(m, i, 900)
			leave(m, i, 900)
		},
		"identities": func(m *Monitor, i int) {
			var more []string
			for j := range 15 {
				more = append(more, fmt.Sprintf("sip:%d.%d@x", i, j))
			}
			register(m, i, 1, more...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{MaxSubscriptions: most, NotifyTimeout: 28 * time.Second}
			before := budgettest.Heap()
			told := newRecorder()
			m := New(NewTable(cfg, nil), told, zerolog.Nop(), nil)
			_ = store.NewKeeper(store.KeeperConfig{Every: time.Hour}, new(awayJournal), zerolog.Nop(), m.Source())
			for i := range most + 1000 {
				fill(m, i)
			}
			told.lines = nil // which is the test's
			records, others := Budget(cfg)
			grown, stated := budgettest.Heap()-before, records+others
			t.Logf("%d MB of %d, %d subscriptions, %d registrations, %d of text, %d notes", grown>>20, stated>>20, m.records.Load(), m.registered.Load(), m.texts.Load(), m.Source().Unwritten())
			if grown > stated {
				t.Errorf("%d bytes are taken, %d are stated", grown, stated)
			}
			if grown > m.Usage()+others {
				t.Errorf("%d bytes are taken, %d are counted, and %d beside", grown, m.Usage(), others)
			}
			if m.records.Load() < most && m.registered.Load() < most && m.texts.Load() < textsEach*most*9/10 && m.Source().Unwritten() < shards*maxGone {
				t.Error("it is not full")
			}
			runtime.KeepAlive(m)
			short := New(NewTable(cfg, nil), newRecorder(), zerolog.Nop(), nil)
			short.Tight.Store(true)
			fill(short, 1)
			if short.Usage() != 0 {
				t.Errorf("%d bytes are taken while memory is short", short.Usage())
			}
		})
	}
}
