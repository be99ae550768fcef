package monitor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/dialogs/monitor/outcome"
	"rewatch/dialogs/redelivery"
	"rewatch/dialogs/store"
)

// parcelWard is a ward with a Postman, whose phones answer an attempt with status (0:
// not at all).
type parcelWard struct {
	*ward

	post  *redelivery.Postman
	mu    sync.Mutex
	sent  []string // bodies, as they were delivered
	last  string   // all of the last
	lasts int      // seconds, of a subscription
	// status is what the phone answers an attempt; 0: nothing.
	status int
	// rfc is REWATCH_FAILURE=rfc.
	rfc bool
}

func redelivering(t *testing.T, c redelivery.Config, f func(w *parcelWard)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &parcelWard{ward: &ward{}, status: 200, lasts: 3600}
		w.post = redelivery.NewPostman(redelivery.Options{
			Config: c, Send: w.send, Open: func(netip.AddrPort) bool { return true },
			Ended: func(e redelivery.End, o *dialogs.Outcome) { w.Redelivered(e, o) },
			Alone: func(o *dialogs.Outcome) bool { return outcome.Of(o, w.rfc) == outcome.Harmless },
		})
		w.Monitor = New(NewTable(Config{Post: w.post, Content: func(raw []byte) (string, string, []byte) {
			kind, body, _ := strings.Cut(string(raw), "|")
			return kind, "", []byte(body)
		}}, nil), wardRecorder{w.ward}, zerolog.Nop(), nil)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.post.Run(ctx) })
		f(w)
		cancel()
		running.Wait()
	})
}

func (w *parcelWard) send(id uint64, p dialogs.Parcel) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = string(p.Raw)
	_, body, _ := strings.Cut(w.last, "|")
	w.sent = append(w.sent, body)
	if w.status != 0 {
		o := dialogs.Outcome{Kind: dialogs.Responded, At: time.Now(), Status: w.status, RetryAfter: -1}
		go w.post.Outcome(id, o)
	}
	return true
}

// answer sets the status of the responses to come.
func (w *parcelWard) answer(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = status
}

// deliveries gives what was sent since the last time.
func (w *parcelWard) deliveries() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := strings.Join(w.sent, " ")
	w.sent = nil
	return sent
}

const (
	pidf    = "application/pidf+xml"
	partial = "application/pidf-diff+xml"
)

// state sends a NOTIFY with a body in the dialog of c, which meets with status (0: with
// silence), and gives what the server is answered; 0: it passed, or was left without.
func (w *parcelWard) state(c call, cseq uint32, kind, body string, status int) int {
	return w.opens(c, cseq, kind, body)(status)
}

// opens is the first half of state, and gives the second.
func (w *parcelWard) opens(c call, cseq uint32, kind, body string) func(status int) int {
	raw := []byte(kind + "|" + body)
	m := dialogs.Message{
		At: time.Now(), Side: dialogs.Server, CallID: []byte(c.id), CSeq: cseq, Transaction: uint64(cseq) << 32,
		FromURI: []byte(c.resource), FromTag: []byte(c.tag), ToURI: []byte(alice), ToTag: []byte("w" + c.id),
		RequestURI: []byte(c.contact), Event: dialogstest.Event(c.event), State: dialogs.SubscriptionState{Expires: w.lasts},
		Parcel: dialogs.Parcel{Raw: raw},
	}
	ref, r := w.Notify(&m)
	return func(status int) int {
		if r.Status != 0 {
			return r.Status
		}
		if status == 0 {
			<-time.After(28 * time.Second)
		}
		o := dialogs.Outcome{Kind: dialogs.Responded, At: time.Now(), Status: status, RetryAfter: -1, CSeq: cseq, Parcel: m.Parcel}
		if status == 0 {
			o.Kind = dialogs.TimedOut
		}
		v := w.NotifyDone(ref, o)
		w.Announce(ref, cseq)
		if v.Relay {
			return status
		}
		return v.Status
	}
}

var (
	redeliverConfig = redelivery.Config{For: 10 * time.Minute, MaxBytes: 1 << 20}
	callA           = call{phoneA, "a1", "s1", "presence", "sip:bob@ims.test"}
)

// TestKept: a NOTIFY that could not be delivered is answered 200, comes to the phone upon
// its sign of life, and nobody hears of a failure.
func TestKept(t *testing.T) {
	for name, alive := range map[string]func(w *parcelWard){
		"a refresh of another dialog": func(w *parcelWard) {
			w.subscribe(call{phoneA, "a2", "s2", "presence", "sip:carol@ims.test"}, 1, 600, 200)
		},
		"a third-party REGISTER": func(w *parcelWard) {
			w.Register(&dialogs.Message{
				At: time.Now(), CallID: []byte("r"), CSeq: 1, FromURI: []byte("sip:scscf.test"), ToURI: []byte(alice),
				Contacts: dialogstest.Contacts("<sip:scscf.test>"), Expires: 3600,
			})
		},
		"a request": func(w *parcelWard) {
			if !w.Waits() {
				t.Error("it does not wait")
			}
			w.Heard(&dialogs.Message{At: time.Now(), FromURI: []byte(alice), Contacts: dialogstest.Contacts("<" + phoneA.contact + ">;+sip.instance=\"<" + phoneA.instance + ">\"")})
		},
		"time": func(*parcelWard) { <-time.After(5 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			redelivering(t, redeliverConfig, func(w *parcelWard) {
				w.subscribe(callA, 1, 600, 200)
				if got := w.state(callA, 1, pidf, "open", 480); got != 200 {
					t.Fatalf("the server got %d", got)
				}
				if got := w.deliveries(); got != "" {
					t.Fatalf("sent %q", got)
				}
				alive(w)
				if got := w.deliveries(); got != "open" {
					t.Fatalf("sent %q", got)
				}
				if len(w.failed()) > 0 || w.Waits() || !slices.Equal(w.returned, []string{" by redelivery"}) {
					t.Errorf("failures %v, returns %q", w.failed(), w.returned)
				}
				if got := w.state(callA, 2, pidf, "away", 200); got != 200 || w.deliveries() != "" {
					t.Errorf("the next NOTIFY: %d", got)
				}
			})
		})
	}
}

// TestKeptInOrder: what comes meanwhile does not overtake; full state replaces.
func TestKeptInOrder(t *testing.T) {
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		w.subscribe(callA, 1, 600, 200)
		for i, body := range []string{"1", "2", "3"} {
			if got := w.state(callA, uint32(i)+1, partial, body, 0); got != 200 { //nolint:gosec // small
				t.Fatalf("the server got %d", got)
			}
		}
		<-time.After(5 * time.Second)
		if got := w.deliveries(); got != "1 2 3" {
			t.Errorf("sent %q", got)
		}
		w.state(callA, 4, pidf, "4", 503)
		w.state(callA, 5, pidf, "5", 200)
		w.state(callA, 6, pidf, "6", 200)
		<-time.After(5 * time.Second)
		if got := w.deliveries(); got != "6" {
			t.Errorf("sent %q", got)
		}
		if len(w.failed()) > 0 {
			t.Error(w.failed())
		}
	})
}

// TestKeptWithoutBody: of NOTIFYs without a body the newest is kept, however many come.
func TestKeptWithoutBody(t *testing.T) {
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		w.subscribe(callA, 1, 600, 200)
		for cseq := range uint32(40) {
			if got := w.state(callA, cseq+1, "", "", 480); got != 200 {
				t.Fatalf("%d: the server got %d", cseq+1, got)
			}
		}
		w.signs()
		w.deliveries()
		if w.Waits() || w.last != "|" || len(w.failed()) > 0 {
			t.Errorf("waits %v, last %q, failed %q", w.Waits(), w.last, w.failed())
		}
	})
}

// TestKeptInVain: what the phone has forgotten, or what was kept too long, has failed.
func TestKeptInVain(t *testing.T) {
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		w.subscribe(callA, 1, 3600, 200)
		w.status = 481
		w.state(callA, 1, pidf, "open", 408)
		<-time.After(5 * time.Second)
		if got := w.deliveries(); got != "open" || !slices.Equal(w.failed(), []string{"a1"}) {
			t.Fatalf("sent %q, failed %q", got, w.failed())
		}
		if got := w.state(callA, 2, pidf, "open", 200); got != 481 {
			t.Errorf("the next NOTIFY gets %d", got)
		}
	})
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		w.subscribe(callA, 1, 3600, 200)
		w.status = 480
		w.state(callA, 1, pidf, "open", 480)
		<-time.After(9 * time.Minute)
		synctest.Wait()
		if len(w.failed()) > 0 {
			t.Fatal("too early")
		}
		<-time.After(time.Minute + 2*time.Second)
		if w.deliveries(); !slices.Equal(w.failed(), []string{"a1"}) {
			t.Fatalf("failed %q", w.failed())
		}
	})
}

// TestKeptNoMore: what nobody wants any more is dropped, and nobody hears of it.
func TestKeptNoMore(t *testing.T) {
	for name, end := range map[string]func(w *parcelWard){
		"un-SUBSCRIBE": func(w *parcelWard) { w.subscribe(callA, 2, 0, 200) },
		"signed out": func(w *parcelWard) {
			w.Register(&dialogs.Message{At: time.Now(), CallID: []byte("r"), CSeq: 2, FromURI: []byte("sip:scscf.test"), ToURI: []byte(alice), Expires: 0})
		},
		"terminated": func(w *parcelWard) {
			_, r := w.Notify(&dialogs.Message{
				At: time.Now(), Side: dialogs.Server, CallID: []byte(callA.id), CSeq: 2, FromURI: []byte(callA.resource),
				FromTag: []byte(callA.tag), ToURI: []byte(alice), ToTag: []byte("w" + callA.id), Event: dialogstest.Event("presence"),
				State: dialogs.SubscriptionState{Terminated: true, Expires: -1}, Parcel: dialogs.Parcel{Raw: []byte("x|y")},
			})
			if r.Status != 0 {
				panic("the terminated NOTIFY has to pass")
			}
		},
		"expiry": func(w *parcelWard) {
			w.status = 480
			for range 700 {
				<-time.After(time.Second)
				expiry{w.Monitor}.sweep(time.Now())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			redelivering(t, redelivery.Config{For: time.Hour, MaxBytes: 1 << 20}, func(w *parcelWard) {
				w.lasts = 600
				w.subscribe(callA, 1, 600, 200)
				w.state(callA, 1, pidf, "open", 480)
				end(w)
				w.deliveries()
				if w.Waits() {
					t.Error("it is kept")
				}
				<-time.After(5 * time.Minute)
				if got := w.deliveries(); got != "" || len(w.failed()) > 0 {
					t.Errorf("sent %q, failed %q", got, w.failed())
				}
			})
		})
	}
}

// TestKeptOfAMovedPhone: a newer subscription of the device that is proven takes its place.
func TestKeptOfAMovedPhone(t *testing.T) {
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		w.subscribe(callA, 1, 600, 200)
		w.state(callA, 1, pidf, "open", 200)
		w.state(callA, 2, pidf, "away", 0)
		w.status = 481
		now := call{moved, "a2", "s2", "presence", callA.resource}
		w.subscribe(now, 1, 600, 200)
		w.state(now, 1, pidf, "away", 200)
		w.deliveries()
		if w.Waits() {
			t.Error("the old dialog is still served")
		}
		if got := w.state(callA, 3, pidf, "open", 481); got != 481 {
			t.Errorf("the old dialog gets %d", got)
		}
		<-time.After(15 * time.Minute)
		if len(w.failed()) > 0 || w.Waits() {
			t.Errorf("failed %q", w.failed())
		}
	})
}

// TestNoRoomToKeep: what cannot be kept has failed, and what was kept for its dialog too.
func TestNoRoomToKeep(t *testing.T) {
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		w.subscribe(callA, 1, 600, 200)
		for cseq := range uint32(16) {
			w.state(callA, cseq+1, partial, "x", 480)
		}
		if got := w.state(callA, 17, partial, "x", 200); got != 481 || !slices.Equal(w.failed(), []string{"a1"}) || w.Waits() {
			t.Fatalf("%d, failed %q", got, w.failed())
		}
		if w.by != wardHop || !w.unsent {
			t.Errorf("what waited in vain is told of %v, unsent %v", w.by, w.unsent)
		}
		for result, want := range map[redelivery.Result]float64{redelivery.GivenBack: 16, redelivery.Dropped: 0} {
			var got dto.Metric
			if err := w.redelivered.results[result].Write(&got); err != nil || got.GetCounter().GetValue() != want {
				t.Errorf("%v were %s, want %v: %v", got.GetCounter().GetValue(), result, want, err)
			}
		}
	})
	redelivering(t, redelivery.Config{For: time.Minute, MaxBytes: 100}, func(w *parcelWard) {
		w.subscribe(callA, 1, 600, 200)
		if got := w.state(callA, 1, pidf, "open", 480); got != 481 || !slices.Equal(w.failed(), []string{"a1"}) {
			t.Fatalf("%d, failed %q", got, w.failed())
		}
	})
}

// TestKeptAndAnsweredLate: the phone has it already, and nothing older comes after it.
func TestKeptAndAnsweredLate(t *testing.T) {
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		w.subscribe(callA, 1, 600, 200)
		m := dialogs.Message{
			At: time.Now(), Side: dialogs.Server, CallID: []byte("a1"), CSeq: 1, Transaction: 1 << 32, FromURI: []byte(callA.resource),
			FromTag: []byte("s1"), ToURI: []byte(alice), ToTag: []byte("wa1"), Event: dialogstest.Event("presence"),
			State: dialogs.SubscriptionState{Expires: 600}, Parcel: dialogs.Parcel{Raw: []byte(pidf + "|open")},
		}
		ref, _ := w.Notify(&m)
		o := dialogs.Outcome{Kind: dialogs.TimedOut, At: time.Now(), RetryAfter: -1, CSeq: 1, Parcel: m.Parcel}
		if v := w.NotifyDone(ref, o); v.Status != 200 {
			t.Fatal(v)
		}
		late := dialogs.Outcome{Kind: dialogs.Responded, Status: 200, At: time.Now(), RetryAfter: -1, CSeq: 1, Late: true}
		if v := w.NotifyDone(ref, late); v.Relay || v.Status != 0 {
			t.Error("the server has its answer", v)
		}
		<-time.After(10 * time.Second)
		if got := w.deliveries(); got != "" || len(w.failed()) > 0 || w.Waits() {
			t.Errorf("sent %q, failed %q", got, w.failed())
		}
		if s, _ := w.load(ref); s.undelivered {
			t.Error("the subscription is still taken for one with a kept NOTIFY")
		}
	})
}

// TestKeptOverARestart: the bytes are gone, so the next process takes it for failed.
func TestKeptOverARestart(t *testing.T) {
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		source := w.Source()
		w.noting = true
		w.subscribe(callA, 1, 600, 200)
		other := call{phoneB, "b1", "s1", "presence", callA.resource}
		w.subscribe(other, 1, 600, 200)
		w.state(other, 1, pidf, "open", 200)
		w.state(callA, 1, pidf, "open", 480)
		batch, _ := source.Collect(100)

		next := newWard()
		restored := next.Source()
		for _, e := range batch {
			if !restored.Restore(e, time.Now()) {
				t.Fatal("not restored")
			}
		}
		next.giveUpLost(time.Now(), nil)
		if !slices.Equal(next.failures, []string{"a1"}) || next.by != wardHop || !next.unsent {
			t.Errorf("failed %q by %v, unsent %v", next.failures, next.by, next.unsent)
		}
	})
}

// TestKeptAndRefused: what the phone answers to what was kept. It says that the subscription
// is gone, or only that this NOTIFY is of no use, or that there is to be another try.
func TestKeptAndRefused(t *testing.T) {
	const goesOn, tries, fails = "goes on", "tries again", "fails"
	for status, want := range map[int][2]string{ // by REWATCH_FAILURE=any, and rfc
		200: {goesOn, goesOn}, 202: {goesOn, goesOn},
		302: {fails, fails}, 400: {fails, goesOn}, 401: {fails, fails}, 403: {fails, fails}, 404: {fails, fails}, 405: {fails, fails},
		407: {fails, fails}, 408: {tries, tries}, 415: {fails, goesOn}, 480: {tries, tries}, 481: {fails, fails}, 488: {fails, goesOn},
		489: {fails, fails}, 491: {tries, tries}, 500: {tries, tries}, 501: {fails, fails}, 502: {tries, tries}, 503: {tries, tries},
		504: {tries, tries}, 513: {fails, goesOn}, 600: {fails, goesOn}, 603: {fails, goesOn}, 604: {fails, fails},
	} {
		for mode, want := range want {
			t.Run(fmt.Sprint(status, " by mode ", mode), func(t *testing.T) {
				redelivering(t, redeliverConfig, func(w *parcelWard) {
					w.rfc = mode == 1
					w.subscribe(callA, 1, 3600, 200)
					w.state(callA, 1, partial, "1", 480)
					w.state(callA, 2, partial, "2", 480)
					w.answer(status)
					<-time.After(5500 * time.Millisecond)
					sent, failed, kept := w.deliveries(), len(w.failed()) > 0, w.Waits()
					got := fmt.Sprintf("%s, failed %t, kept %t", sent, failed, kept)
					if got != map[string]string{
						goesOn: "1 2, failed false, kept false", tries: "1, failed false, kept true", fails: "1, failed true, kept false",
					}[want] {
						t.Errorf("%s, want that it %s", got, want)
					}
				})
			})
		}
	}
}

// TestKeptForAMovedPhone: a client that refreshes from a new Contact gets there what is kept,
// also where the server has sent it before it knew of the refresh. What goes to an address that
// only the server knows stays as it is.
func TestKeptForAMovedPhone(t *testing.T) {
	at := func(contact string) string { return "NOTIFY " + contact + " SIP/2.0\r\n|1" }
	for name, c := range map[string]struct {
		kept   string
		before bool // it fails before the refresh
		want   string
	}{
		"kept":             {callA.contact, true, moved.contact},
		"crossing":         {callA.contact, false, moved.contact},
		"crossing, spelt":  {callA.contact + ";x=y", false, moved.contact},
		"known to be new":  {moved.contact, false, moved.contact},
		"of the server":    {"sip:alice@192.0.2.99", false, "sip:alice@192.0.2.99"},
		"not a SIP target": {"urn:x", false, "urn:x"},
	} {
		t.Run(name, func(t *testing.T) {
			redelivering(t, redeliverConfig, func(w *parcelWard) {
				w.subscribe(callA, 1, 600, 200)
				if c.before {
					w.state(callA, 1, at(c.kept), "", 480)
				}
				w.Subscribe(&dialogs.Message{
					At: time.Now(), CallID: []byte(callA.id), CSeq: 2, FromURI: []byte(alice), FromTag: []byte("w" + callA.id), Expires: 600,
					ToURI: []byte(callA.resource), ToTag: []byte(callA.tag), RequestURI: []byte(callA.resource), Event: dialogstest.Event(callA.event),
					Contacts: dialogstest.Contacts("<" + moved.contact + ">"),
				})
				if !c.before {
					w.state(callA, 1, at(c.kept), "", 480)
				}
				<-time.After(6 * time.Second)
				w.deliveries()
				if w.last != at(c.want)+"|" {
					t.Errorf("sent %q", w.last)
				}
			})
		})
	}
}

// TestKeptInASharedDialog: two subscriptions share a dialog, and its CSeqs. A 500 to a copy of a
// NOTIFY of one is no delivery if the phone has a later one of the other.
func TestKeptInASharedDialog(t *testing.T) {
	other := callA
	other.event += ";id=2"
	for name, c := range map[string]struct {
		first, then []uint32 // what the phone has of the other before this one is kept, and after
		fails       bool
	}{
		"nothing":       {nil, nil, false},
		"earlier":       {[]uint32{1}, nil, false},
		"later, before": {[]uint32{5}, nil, true},
		"later, after":  {nil, []uint32{5}, true},
	} {
		t.Run(name, func(t *testing.T) {
			redelivering(t, redeliverConfig, func(w *parcelWard) {
				w.subscribe(callA, 1, 600, 200)
				w.state(other, 1, pidf, "other", 200)
				for _, cseq := range c.first {
					w.state(other, cseq, pidf, "other", 200)
				}
				w.answer(500)
				open := w.opens(callA, 3, pidf, "open")
				var others []func(int) int
				for _, cseq := range c.then {
					others = append(others, w.opens(other, cseq, pidf, "other"))
				}
				open(0)
				for _, ends := range others {
					ends(200)
				}
				<-time.After(30 * time.Second)
				w.deliveries()
				if w.Waits() || (len(w.failed()) > 0) != c.fails {
					t.Errorf("kept %t, failed %q, want that it fails: %t", w.Waits(), w.failed(), c.fails)
				}
			})
		})
	}
}

// TestOrderInASharedDialog: the NOTIFYs of two subscriptions that share a dialog are delivered in the
// order of their CSeqs, for the phone refuses a lower one after a higher one. A NOTIFY of one waits
// for those that are kept for the other, and no longer.
func TestOrderInASharedDialog(t *testing.T) {
	other := callA
	other.event += ";id=2"
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		w.subscribe(callA, 1, 600, 200)
		w.state(other, 1, pidf, "first", 200)
		open := w.opens(other, 2, partial, "o2")
		w.state(callA, 3, pidf, "a3", 480)
		for _, then := range []struct {
			call call
			cseq uint32
			body string
		}{{other, 4, "o4"}, {callA, 5, "a5"}, {other, 6, "o6"}} {
			if got := w.state(then.call, then.cseq, partial, then.body, 200); got != 200 || w.deliveries() != "" {
				t.Fatalf("%s is not kept, or sent: %d", then.body, got)
			}
		}
		open(480)
		w.answer(480)
		<-time.After(40 * time.Second)
		if got := w.deliveries(); strings.ReplaceAll(got, "o2", "") != strings.Repeat(" ", len(strings.Fields(got))-1) {
			t.Errorf("tried %q, want o2 alone", got)
		}
		w.answer(200)
		w.signs()
		if got := w.deliveries(); got != "o2 a3 o4 a5 o6" || w.Waits() || len(w.failed()) > 0 {
			t.Errorf("delivered %q; failed %q", got, w.failed())
		}
	})
}

// TestTakenOver: what a process keeps is told to other replicas, by an entry that goes with
// it. One that takes the entry recovers the watcher. The process itself then ends the dialog
// without a word.
func TestTakenOver(t *testing.T) {
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		source := w.Source()
		w.noting, w.cfg.Instance = true, "one"
		w.subscribe(callA, 1, 600, 200)
		w.state(callA, 1, pidf, "open", 480)
		var kept []store.Entry
		batch, _ := source.Collect(100)
		for _, e := range batch {
			if e.Kind == store.KindKept {
				kept = append(kept, e)
			}
		}
		if len(kept) != 1 {
			t.Fatalf("%d entries", len(kept))
		}
		_, kept[0].Key, _ = strings.Cut(kept[0].Key, "\x00")
		other := newWard()
		other.TakeOver(kept[0])
		if !slices.Equal(other.failures, []string{"a1"}) {
			t.Errorf("the other replica recovers %q", other.failures)
		}
		other.TakeOver(kept[0]) // it is known there by now
		if len(other.failures) != 1 {
			t.Errorf("recovered again: %q", other.failures)
		}
		w.TakenOver(func(string) bool { return false })
		if !w.post.Some() {
			t.Error("dropped although nobody took it")
		}
		w.TakenOver(func(key string) bool { return key == kept[0].Key })
		if w.post.Some() || len(w.failed()) > 0 {
			t.Errorf("still kept: %v, failed %q", w.post.Some(), w.failed())
		}
		if status := w.state(callA, 2, pidf, "closed", 200); status != 481 {
			t.Errorf("the next NOTIFY: %d", status)
		}
	})
}

// TestClaimed: after a restart a dialog that another replica took is ended without a word.
func TestClaimed(t *testing.T) {
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		source := w.Source()
		w.noting = true
		w.subscribe(callA, 1, 600, 200)
		w.state(callA, 1, pidf, "open", 480)
		batch, _ := source.Collect(100)
		next := newWard()
		for _, e := range batch {
			next.Source().Restore(e, time.Now())
		}
		next.giveUpLost(time.Now(), func(string) bool { return false })
		if len(next.failures) > 0 {
			t.Errorf("failed %q", next.failures)
		}
	})
}

// TestNothingWaits: where NOTIFYs are not kept, one that comes while another is open passes.
func TestNothingWaits(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		status int // for the second NOTIFY; 0: it passes
	}{
		"dry run":     {func(c *Config) { c.DryRun = dialogs.NewDryRun(true) }, 0},
		"passthrough": {func(c *Config) { c.Answer = AnswerPassthrough }, 0},
		"off":         {func(c *Config) { c.Post = nil }, 0},
		"on":          {func(*Config) {}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			redelivering(t, redeliverConfig, func(w *parcelWard) {
				cfg := Config{Post: w.post, NotifyTimeout: 28 * time.Second}
				c.change(&cfg)
				w.Monitor = New(NewTable(cfg, nil), wardRecorder{w.ward}, zerolog.Nop(), nil)
				w.subscribe(callA, 1, 3600, 200)
				for cseq, want := range []int{0, c.status} {
					_, r := w.Notify(&dialogs.Message{
						At: time.Now(), Side: dialogs.Server, CallID: []byte("a1"), CSeq: uint32(cseq) + 1, Transaction: uint64(cseq+1) << 32, //nolint:gosec // small
						FromURI: []byte(callA.resource), FromTag: []byte("s1"), ToURI: []byte(alice), ToTag: []byte("wa1"),
						Event: dialogstest.Event("presence"), State: dialogs.SubscriptionState{Expires: 600}, Parcel: dialogs.Parcel{Raw: []byte("x")},
					})
					if r.Status != want {
						t.Errorf("NOTIFY %d gets %d, want %d", cseq+1, r.Status, want)
					}
				}
			})
		})
	}
}
