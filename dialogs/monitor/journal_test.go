package monitor

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

const keptUser = "sip:alice@ims.example"

// kept is a Monitor with a Keeper, and what was offered.
type kept struct {
	*Monitor
	*offers
	directory dialogs.Directory
	t         *testing.T
	keeper    *store.Keeper
}

// offers writes down what a Monitor offers.
type offers struct {
	dialogs.Recovery
	mu   sync.Mutex
	list []string
}

func (o *offers) Offer(aor string, e policy.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, e.Kind.String()+" "+aor)
}

// take gives what was offered since it was called last.
func (o *offers) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.list
	o.list = nil
	return list
}

func startKept(t *testing.T, j store.Journal, shared bool) *kept {
	t.Helper()
	k := &kept{t: t, offers: &offers{Recovery: newRecorder()}}
	table := NewTable(Config{}, nil)
	k.directory = table
	if shared {
		k.directory = table.Share(j)
	}
	k.Monitor = New(table, k.offers, zerolog.New(io.Discard), nil)
	k.keeper = store.NewKeeper(store.KeeperConfig{Shared: shared}, j, zerolog.New(io.Discard), table.Source())
	if err := k.keeper.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.Start(context.Background())
	k.keeper.Start(context.Background())
	return k
}

func (k *kept) stop() {
	k.t.Helper()
	if err := errors.Join(k.Shutdown(context.Background()), k.keeper.Shutdown(context.Background())); err != nil {
		k.t.Error(err)
	}
}

func (k *kept) register(aor string, expires int) {
	k.Register(&dialogs.Message{
		At: time.Now(), ToURI: []byte(aor), CallID: []byte("reg"), CSeq: 1,
		Contacts: dialogstest.Contacts("<sip:scscf.ims.example;lr>"), Expires: expires,
	})
}

// subscribe makes a subscription of alice to bob, and says what its NOTIFY is.
func (k *kept) subscribe(callID string) *dialogs.Message { return k.subscribeAs(keptUser, callID) }

// subscribeAs makes one by another identity of the user.
func (k *kept) subscribeAs(user, callID string) *dialogs.Message {
	request := &dialogs.Message{
		At: time.Now(), CallID: []byte(callID), CSeq: 1, FromURI: []byte(user), FromTag: []byte("w"),
		ToURI: []byte("sip:bob@ims.example"), Event: dialogstest.Event("presence"), Contacts: dialogstest.Contacts("<sip:alice@192.0.2.7:5066>"),
		Expires: 300,
	}
	k.Subscribe(request)
	response := *request
	response.Status, response.ToTag = 200, []byte("n")
	k.SubscribeDone(&response)
	return notifyOf(callID)
}

func notifyOf(callID string) *dialogs.Message {
	return &dialogs.Message{
		At: time.Now(), Side: dialogs.Server, CallID: []byte(callID), CSeq: 7, FromURI: []byte("sip:bob@ims.example"),
		FromTag: []byte("n"), ToURI: []byte(keptUser), ToTag: []byte("w"), Event: dialogstest.Event("presence"),
		State: dialogstest.State("active"), Contacts: dialogstest.Target("sip:alice@192.0.2.7:5066"), Expires: -1,
	}
}

func (k *kept) fail(n *dialogs.Message) dialogs.Verdict {
	ref, _ := k.Notify(n)
	v := k.NotifyDone(ref, dialogs.Outcome{Kind: dialogs.TimedOut, At: time.Now(), CSeq: n.CSeq, RetryAfter: -1})
	k.Announce(ref, n.CSeq)
	return v
}

// Who is registered and subscribed, and which dialogs are dead, outlives a process.
func TestKeeperRestores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := store.NewMemoryStore()
		k := startKept(t, disk, false)
		k.register(keptUser, 600)
		k.subscribe("good")
		k.fail(k.subscribe("broken"))
		left := k.subscribe("left")
		left.State = dialogstest.State("terminated")
		ref, _ := k.Notify(left)
		k.NotifyDone(ref, dialogs.Outcome{Status: 200, At: time.Now(), CSeq: 7, RetryAfter: -1})
		k.stop()

		time.Sleep(time.Minute)
		k = startKept(t, disk, false)
		u := k.User(keptUser)
		if !u.Registered || u.SCSCF != "sip:scscf.ims.example;lr" || !slices.Contains(u.Contacts, "sip:alice@192.0.2.7:5066") {
			t.Errorf("known of alice: %+v", u)
		}
		w, _ := k.Watcher(keptUser)
		states := make(map[string]string)
		for _, s := range w.List {
			states[s.CallID] = s.State
		}
		if len(states) != 2 || states["good"] != "active" || states["broken"] != "dead" {
			t.Errorf("subscriptions %v", states)
		}
		if _, ruling := k.Notify(notifyOf("broken")); ruling.Status != 481 {
			t.Errorf("a NOTIFY in a dead dialog: %+v", ruling)
		}
		k.register(keptUser, 600) // a refresh, no new period
		if offered := k.take(); slices.Contains(offered, "registered "+keptUser) {
			t.Errorf("offered %v", offered)
		}
		time.Sleep(11 * time.Minute) // all is over, here and in the journal
		synctest.Wait()
		k.stop()
		for _, kind := range store.Kinds() {
			for e, err := range disk.Entries(t.Context(), kind) {
				t.Errorf("left: %+v, %v", e, err)
			}
		}
	})
}

// A SUBSCRIBE that a crash took away: its NOTIFY tells of it, or it comes again.
func TestKeeperLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := store.NewMemoryStore()
		startKept(t, disk, false).stop()
		k := startKept(t, disk, false)
		k.offers.Recovery.(*recorder).interested["*"] = true
		n := notifyOf("forgotten")
		ref, _ := k.Notify(n)
		k.NotifyDone(ref, dialogs.Outcome{Status: 200, At: time.Now(), CSeq: n.CSeq, RetryAfter: -1})
		if got := k.take(); !slices.Equal(got, []string{"subscribed " + keptUser, "notify-ok " + keptUser}) {
			t.Errorf("offered %v", got)
		}
		k.subscribe("forgotten")
		if w, _ := k.Watcher(keptUser); len(w.List) != 1 {
			t.Errorf("subscriptions %+v", w.List)
		}
		k.take()
		time.Sleep(time.Minute) // what is not known by now is older than rewatch
		n = notifyOf("older")
		ref, _ = k.Notify(n)
		k.NotifyDone(ref, dialogs.Outcome{Status: 200, At: time.Now(), CSeq: n.CSeq, RetryAfter: -1})
		if got := k.take(); !slices.Equal(got, []string{"notify-ok " + keptUser}) {
			t.Errorf("offered %v", got)
		}
		k.stop()
	})
}

// The SUBSCRIBE that comes again finds a NOTIFY open in its dialog, which is judged all
// the same.
func TestKeeperLapseWithAnOpenNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startKept(t, store.NewMemoryStore(), false)
		n := notifyOf("forgotten")
		ref, _ := k.Notify(n)
		k.subscribe("forgotten")
		v := k.NotifyDone(ref, dialogs.Outcome{Kind: dialogs.TimedOut, At: time.Now(), CSeq: n.CSeq, RetryAfter: -1})
		if v.Status != goneStatus {
			t.Errorf("the verdict is %+v", v)
		}
		if w, _ := k.Watcher(keptUser); len(w.List) != 1 || w.List[0].State != "dead" {
			t.Errorf("subscriptions %+v", w.List)
		}
		k.stop()
	})
}

// The way of a NOTIFY to a known subscription neither allocates nor writes.
func TestKeeperHotPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &away{MemoryStore: store.NewMemoryStore()}
		k := startKept(t, j, false)
		defer k.stop()
		n := k.subscribe("call")
		if k.keeper.Pending() == 0 {
			t.Error("the subscription does not wait to be kept")
		}
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		done := dialogs.Outcome{Status: 200, At: time.Now(), CSeq: 7, RetryAfter: -1}
		ref, _ := k.Notify(n)
		k.NotifyDone(ref, done) // the first one is proof
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		before := j.writes.Load()
		allocs := testing.AllocsPerRun(1000, func() {
			ref, _ := k.Notify(n)
			k.NotifyDone(ref, done)
		})
		if allocs != 0 || before == 0 || k.keeper.Pending() != 0 {
			t.Errorf("%v allocations, %d wait to be kept", allocs, k.keeper.Pending())
		}
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		if n := j.writes.Load(); n != before {
			t.Errorf("%d writes", n-before)
		}
	})
}

// away is a Journal that counts, and fails while it is told to.
type away struct {
	*store.MemoryStore
	failing atomic.Bool
	writes  atomic.Int32
}

func (a *away) Write(ctx context.Context, batch []store.Entry) error {
	a.writes.Add(1)
	if a.failing.Load() {
		return errors.New("connection refused")
	}
	return a.MemoryStore.Write(ctx, batch)
}

// What is learnt while the Journal is away is written when it is back.
func TestKeeperAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &away{MemoryStore: store.NewMemoryStore()}
		j.failing.Store(true)
		k := startKept(t, j, false)
		k.register(keptUser, 600)
		time.Sleep(time.Second)
		k.register(keptUser, 1200)
		k.register("sip:bob@ims.example", 600)
		time.Sleep(time.Second)
		j.failing.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		e, ok, _ := j.Read(t.Context(), store.KindRegistration, keptUser)
		if left := time.Until(e.Until); !ok || left < 1190*time.Second {
			t.Errorf("kept for alice: %v, %s", ok, left)
		}
		if _, ok, _ = j.Read(t.Context(), store.KindRegistration, "sip:bob@ims.example"); !ok {
			t.Error("nothing is kept for bob")
		}
		k.stop()
	})
}

// Two processes see the REGISTERs of one user by turns: only together they know
// when a period begins and ends.
func TestKeeperShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := store.NewMemoryStore()
		one, two := startKept(t, disk, true), startKept(t, disk, true)
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		expect := func(k *kept, want ...string) {
			t.Helper()
			if got := k.take(); !slices.Equal(got, want) {
				t.Errorf("offered %v, want %v", got, want)
			}
		}
		one.register(keptUser, 60)
		wait(time.Second)
		expect(one, "registered "+keptUser)
		if u := two.directory.User(keptUser); !u.Registered || u.SCSCF != "sip:scscf.ims.example;lr" {
			t.Errorf("the other process knows %+v", u)
		}
		two.register(keptUser, 600) // a refresh by way of the other
		wait(2 * time.Minute)       // at the first it lapses
		expect(one)
		expect(two)
		one.register(keptUser, 0) // signed out by way of the first
		wait(time.Second)
		expect(one, "deregistered "+keptUser)
		two.register(keptUser, 60) // the other knows the old registration still
		wait(time.Second)
		expect(two, "registered "+keptUser)
		wait(2 * time.Minute)
		expect(two, "deregistered "+keptUser)
		one.stop()
		two.stop()
	})
}

// A user whose REGISTER went by another replica is known here by each identity.
func TestIdentitiesOfAnotherReplica(t *testing.T) {
	const tel = "tel:+4930"
	synctest.Test(t, func(t *testing.T) {
		disk := store.NewMemoryStore()
		one, two := startKept(t, disk, true), startKept(t, disk, true)
		one.Register(&dialogs.Message{
			At: time.Now(), ToURI: []byte(keptUser), CallID: []byte("reg"), CSeq: 1, Expires: 600,
			Contacts: dialogstest.Contacts("<sip:scscf.ims.example;lr>"), Associated: [][]byte{[]byte(keptUser), []byte(tel)},
		})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := two.UserNamed("sip:nobody@ims.example"); got != "sip:nobody@ims.example" {
			t.Errorf("nobody is %s", got)
		}
		// What it subscribes to by the number before that is known concerns the user all the same.
		notify := two.subscribeAs(tel, "call-1")
		time.Sleep(time.Second)
		synctest.Wait()
		two.fail(notify)
		lines := two.Recovery.(*recorder).take()
		if got := strings.Join(lines, "\n"); !strings.HasPrefix(got, "offer "+keptUser+" notify-failed") {
			t.Errorf("told of the failure: %s", got)
		}
		if u := two.directory.User(tel); !u.Registered || u.SCSCF != "sip:scscf.ims.example;lr" {
			t.Errorf("by the number it is known as %+v", u)
		}
		two.subscribeAs(tel, "call-2")
		if v, ok := two.Watcher(keptUser); !ok || len(v.List) != 1 {
			t.Errorf("the user has %+v", v)
		}
		late := startKept(t, disk, true)
		if got := late.UserNamed(tel); got != keptUser {
			t.Errorf("for one who starts late the number is of %s", got)
		}
		for _, k := range []*kept{one, two, late} {
			k.stop()
		}
	})
}

// An administrator may ask a replica that has heard of nobody.
func TestUserNamedAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := store.NewMemoryStore()
		two := startKept(t, disk, true)
		one := startKept(t, disk, true)
		one.Register(&dialogs.Message{
			At: time.Now(), ToURI: []byte(keptUser), CallID: []byte("reg"), CSeq: 1, Expires: 600,
			Contacts: dialogstest.Contacts("<sip:scscf.ims.example;lr>"), Associated: [][]byte{[]byte(keptUser), []byte("tel:+4930")},
		})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := two.UserNamed("tel:+4930"); got != keptUser {
			t.Errorf("the number is of %s", got)
		}
		one.stop()
		two.stop()
	})
}
