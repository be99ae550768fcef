package recovery_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/recovery"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// slowDisk takes its time for what it keeps, and says when it has kept it.
type slowDisk struct {
	*store.MemoryStore
	r    *rig
	full atomic.Bool
}

const saving = 50 * time.Millisecond

var errFull = errors.New("no space left on device")

func (d *slowDisk) Save(ctx context.Context, r store.Record, with ...store.Entry) (uint64, error) {
	time.Sleep(saving)
	if d.full.Load() {
		return 0, errFull
	}
	v, err := d.MemoryStore.Save(ctx, r, with...)
	d.r.write("saved %s with %s", r.State.Phase, keys(with))
	return v, err
}

func (d *slowDisk) Write(ctx context.Context, batch []store.Entry) error {
	time.Sleep(saving)
	if d.full.Load() {
		return errFull
	}
	d.r.write("written %s", keys(batch))
	return d.MemoryStore.Write(ctx, batch)
}

// keys tells what entries are about: the Call-ID of a subscription, or the kind.
func keys(entries []store.Entry) string {
	var all []string
	for _, e := range entries {
		if id, _, ok := strings.Cut(e.Key, "\x00"); ok && e.Kind == store.KindSubscription {
			all = append(all, id)
			continue
		}
		all = append(all, e.Kind.String())
	}
	return strings.Join(all, " ")
}

// kept is a Monitor and an Engine with a Keeper.
type kept struct {
	*rig
	monitor *monitor.Monitor
	disk    *slowDisk
	keeper  *store.Keeper
}

func startKept(t *testing.T, cfg recovery.Config) *kept {
	t.Helper()
	r := &rig{
		t: t, began: time.Now(), metrics: prometheus.NewRegistry(), users: map[string]dialogs.User{alice: {Registered: true}},
		inFlight: map[string]int{}, answer: func(string) dialogs.Result { return dialogs.Result{Status: 200} },
	}
	c := &kept{rig: r, disk: &slowDisk{MemoryStore: store.NewMemoryStore(), r: r}}
	log := zerolog.New(io.Discard)
	r.Engine = recovery.New(cfg, r, r, (*alarmDiary)(r), c.disk, log, r.metrics)
	c.monitor = monitor.New(monitor.NewTable(monitor.Config{}, nil), r.Engine, log, nil)
	c.keeper = store.NewKeeper(store.KeeperConfig{Every: 13 * time.Millisecond}, c.disk, log, c.monitor.Source(), r.Source())
	c.keeper.Start(context.Background())
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *kept) end() {
	c.stop()
	if err := c.keeper.Shutdown(context.Background()); err != nil {
		c.t.Error(err)
	}
}

// subscribe sends a SUBSCRIBE, and its 200.
func (c *kept) subscribe(callID string) {
	request := dialogs.Message{
		At: time.Now(), CallID: []byte(callID), CSeq: 1, FromURI: []byte(alice), FromTag: []byte("w"),
		ToURI: []byte("sip:bob@ims.example"), Event: dialogstest.Event("presence"), Contacts: dialogstest.Contacts("<sip:alice@192.0.2.7:5066>"), Expires: 300,
	}
	c.monitor.Subscribe(&request)
	request.Status, request.ToTag = 200, []byte("n")
	c.monitor.SubscribeDone(&request)
}

// notify sends a NOTIFY over a hop, and its answer, and what follows from that.
func (c *kept) notify(callID string, status int, hop netip.AddrPort) {
	c.monitor.Announce(c.answered(callID, status, hop), 7)
	synctest.Wait()
}

// answered sends a NOTIFY over a hop, and its answer.
func (c *kept) answered(callID string, status int, hop netip.AddrPort) dialogs.Ref {
	ref, _ := c.monitor.Notify(&dialogs.Message{
		At: time.Now(), Side: dialogs.Server, CallID: []byte(callID), CSeq: 7, FromURI: []byte("sip:bob@ims.example"),
		FromTag: []byte("n"), ToURI: []byte(alice), ToTag: []byte("w"), Event: dialogstest.Event("presence"),
		State: dialogstest.State("active"), Contacts: dialogstest.Target("sip:alice@192.0.2.7:5066"), Expires: -1,
	})
	c.monitor.NotifyDone(ref, dialogs.Outcome{
		Kind: dialogs.Responded, Status: status, At: time.Now(), CSeq: 7, RetryAfter: -1, Hop: hop,
	})
	return ref
}

// That a dialog is dead, or has come in the place of another, is never safe before its
// user is.
func TestUserIsKeptBeforeItsDialogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startKept(t, config())
		c.subscribe("call-1")
		c.at(200 * time.Millisecond)
		c.expect(`
			63ms  written call-1`)
		c.notify("call-1", 480, netip.AddrPort{})
		c.at(time.Second)
		c.expect(`
			250ms  saved gathering with
			300ms  written call-1
			750ms  saved notifying with
			800ms  saved notifying with
			800ms  MESSAGE 1 of 3 to sip:alice@ims.example by : sip:bob@ims.example
			850ms  saved waiting with`)
		c.subscribe("call-2")
		c.at(2 * time.Second)
		c.expect(`
			1.05s  saved proving with
			1.1s  written call-2`)
		c.notify("call-2", 200, netip.AddrPort{})
		c.at(3 * time.Second)
		c.expect(`
			2.05s  saved idle with
			2.1s   written call-2`)
		c.end()
	})
}

// A dialog that has died is not known as dead before its failure is, though something
// else about it was to be kept already.
func TestFailureIsKeptBeforeItsDialog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startKept(t, config())
		c.subscribe("call-1")
		c.notify("call-1", 480, netip.AddrPort{})
		c.at(400 * time.Millisecond)
		c.expect(`
			50ms   saved gathering with
			100ms  written call-1`)
		c.end()
	})
}

// A dialog whose failure is not announced yet is not known as dead either, though it was
// noted before.
func TestFailureIsAnnouncedBeforeItsDialogIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startKept(t, config())
		c.subscribe("call-1")
		ref := c.answered("call-1", 480, netip.AddrPort{})
		c.at(200 * time.Millisecond)
		c.expect("")
		c.monitor.Announce(ref, 7)
		c.at(400 * time.Millisecond)
		c.expect(`
			250ms  saved gathering with
			300ms  written call-1`)
		c.end()
	})
}

// Nobody waits for a disk that is full.
func TestMessagesDoNotWaitForAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startKept(t, config())
		c.subscribe("call-1")
		c.at(200 * time.Millisecond)
		c.disk.full.Store(true)
		c.notify("call-1", 480, netip.AddrPort{})
		c.at(time.Second)
		c.expect(`
			63ms   written call-1
			250ms  raise store-unavailable of state-store, major
			700ms  MESSAGE 1 of 3 to sip:alice@ims.example by : sip:bob@ims.example`)
		c.disk.full.Store(false)
		c.at(5 * time.Second)
		c.end()
	})
}

// Whom an outage broke is kept before its dialog is known as dead.
func TestLostIsKeptBeforeItsDialog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Hold.Limits.Off = false
		hop := netip.MustParseAddrPort("10.0.0.1:5060")
		cfg.Hold.Shared = func(netip.AddrPort) bool { return true }
		c := startKept(t, cfg)
		c.subscribe("call-1")
		c.at(200 * time.Millisecond)
		c.Failed(dialogs.Failure{ // of somebody else
			AOR: "sip:carol@ims.example", Hop: hop, Sent: time.Now(), Unreachable: true,
			Event: policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-0")},
		})
		c.at(400 * time.Millisecond)
		c.expect(`
			63ms   written call-1
			200ms  raise core-outage of 10.0.0.1:5060, critical
			258ms  written outage lost`)
		c.notify("call-1", 503, hop)
		c.at(600 * time.Millisecond)
		c.expect(`
			453ms  written lost call-1`)
		c.end()
	})
}

// An alarm of which a process has told is known to the next one: else it would raise
// another, and nobody would ever clear the first.
func TestAlarmIsSafeBeforeItIsTold(t *testing.T) {
	for _, after := range []time.Duration{time.Millisecond, commitTakes + time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			cfg := config()
			cfg.Rules.Threshold, cfg.Rules.OnThreshold = 1, policy.Unsubscribe
			l := &lives{t: t, cfg: cfg, began: time.Now()}
			l.start(nil)
			l.offer(policy.NotifyFailed, "bob", "call-1")
			for s, _ := l.State(alice); s.Phase != policy.Exhausted; s, _ = l.State(alice) {
				time.Sleep(100 * time.Microsecond)
			}
			raised, _ := l.State(alice)
			time.Sleep(after)
			l.restart(time.Second)
			time.Sleep(time.Minute)
			now, _ := l.State(alice)
			if told := len(l.requests("raise")); told != 1 {
				t.Errorf("%v after the threshold: told %d times", after, told)
			}
			if same := now.AlarmAt.Equal(raised.AlarmAt); same != (after > commitTakes) {
				t.Errorf("%v after the threshold: raised at %v, then at %v", after, raised.AlarmAt, now.AlarmAt)
			}
			l.stop()
		})
	}
}
