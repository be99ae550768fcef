package monitor

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/dialogs/redelivery"
	"rewatch/policy"
)

// tunnel is a server, a phone and the network between rewatch and the phone, which is
// there or not. Monitor and Postman are the real ones.
type tunnel struct {
	*ward

	post *redelivery.Postman
	work sync.WaitGroup

	mu    sync.Mutex
	fault string

	// The network: silent swallows, status is what the core answers instead of the
	// phone; 0: it forwards. With deaf the answers of the phone are lost.
	silent, deaf bool
	status       int
	flights      map[uint64]*flight // attempts of the Postman, and by transaction those of the server
	// stateful: the core retransmits by itself what it has been given once, and nothing that
	// comes once more by the same branch hurries it.
	stateful bool

	// The phone.
	last     uint32 // the highest CSeq it has seen
	answers  map[string]int
	forgot   bool
	strict   bool // 500 to a CSeq that is not above the last (pjsip)
	fulls    map[uint32]bool
	accepted []uint32

	// The server.
	cseq, subscribe uint32
	lost            bool
}

// flight is a NOTIFY on its way.
type flight struct {
	hurry, recall chan struct{}

	// Of one of the server's.
	ref    dialogs.Ref
	cseq   uint32
	parcel dialogs.Parcel
}

// overdue is the proxy, which is to have a NOTIFY of the server's kept.
func (w *tunnel) overdue(transaction uint64) {
	f := w.flight(transaction)
	v := w.NotifyDone(f.ref, dialogs.Outcome{
		Kind: dialogs.TimedOut, Early: true, At: time.Now(), RetryAfter: -1, CSeq: f.cseq, Parcel: f.parcel,
	})
	if v.Status != 0 {
		close(f.recall)
		w.answered(f.cseq, v.Status)
	}
}

func (w *tunnel) fails(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf(format, args...)
	}
}

// receive is the phone, which gets a NOTIFY by a branch. The lock is held.
func (w *tunnel) receive(branch string, cseq uint32) int {
	if status := w.answers[branch]; status != 0 {
		return status // a retransmission
	}
	status := 200
	switch {
	case w.forgot:
		status = 481
	case cseq < w.last:
		w.fails("CSeq %d after %d", cseq, w.last)
		status = 500
	case cseq == w.last && w.strict:
		status = 500
	case cseq > w.last:
		if !w.fulls[cseq] && cseq != w.last+1 {
			w.fails("partial state %d after %d", cseq, w.last)
		}
		w.last = cseq
		w.accepted = append(w.accepted, cseq)
	}
	w.answers[branch] = status
	return status
}

// fly sends a NOTIFY as a client transaction by UDP does, until it is answered, recalled
// or out of time. told is false where nobody is to hear how it ended. A stateful core
// does not hear of a recall.
func (w *tunnel) fly(f *flight, branch string, cseq uint32) (o dialogs.Outcome, told bool) {
	deadline, next, pause := time.Now().Add(28*time.Second), time.Now(), 500*time.Millisecond
	hurry, recall := f.hurry, f.recall
	if w.stateful {
		hurry = nil
	}
	told = true
	for {
		if status := w.reach(branch, cseq); status != 0 {
			<-time.After(30 * time.Millisecond)
			return dialogs.Outcome{Kind: dialogs.Responded, At: time.Now(), Status: status, RetryAfter: -1, CSeq: cseq}, told
		}
		next, pause = next.Add(pause), min(2*pause, 4*time.Second)
		for waits := true; waits; {
			select {
			case <-time.After(time.Until(sooner(next, deadline))):
				waits = false
			case <-hurry:
				waits = false
			case <-recall:
				if told, recall = false, nil; !w.stateful {
					return o, false
				}
			}
		}
		if !time.Now().Before(deadline) {
			return dialogs.Outcome{Kind: dialogs.TimedOut, At: time.Now(), RetryAfter: -1, CSeq: cseq}, told
		}
	}
}

func sooner(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// reach sends a NOTIFY once, and gives what it is answered; 0: nothing.
func (w *tunnel) reach(branch string, cseq uint32) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	status := w.status
	if w.answers[branch] != 0 {
		status = 0 // a core that has forwarded it waits for the phone
	}
	if status == 0 && !w.silent && w.status == 0 {
		if status = w.receive(branch, cseq); w.deaf {
			status = 0
		}
	}
	return status
}

func (w *tunnel) deliver(id uint64, p dialogs.Parcel) bool {
	f := &flight{hurry: make(chan struct{}, 1), recall: make(chan struct{})}
	_, number, _ := strings.Cut(string(p.Raw), "|")
	cseq, _ := strconv.Atoi(number)
	w.mu.Lock()
	w.flights[id] = f
	w.mu.Unlock()
	w.work.Go(func() {
		if o, told := w.fly(f, fmt.Sprint("d", id), uint32(cseq)); told { //nolint:gosec // small
			w.post.Outcome(id, o)
		}
	})
	return true
}

// flight of an attempt.
func (w *tunnel) flight(id uint64) *flight {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flights[id]
}

// notifies is the server that has a new state.
func (w *tunnel) notifies(full bool) {
	w.mu.Lock()
	w.cseq++
	cseq, kind := w.cseq, partial
	if full {
		kind, w.fulls[cseq] = pidf, true
	}
	lost := w.lost
	w.mu.Unlock()
	if lost {
		return
	}
	m := dialogs.Message{
		At: time.Now(), Side: dialogs.Server, CallID: []byte(callA.id), CSeq: cseq, Transaction: uint64(cseq) << 32,
		FromURI: []byte(callA.resource), FromTag: []byte(callA.tag), ToURI: []byte(alice), ToTag: []byte("w" + callA.id),
		RequestURI: []byte(callA.contact), Event: dialogstest.Event(callA.event), State: dialogs.SubscriptionState{Expires: 3600},
		Parcel: dialogs.Parcel{Raw: fmt.Appendf(nil, "%s|%d", kind, cseq)},
	}
	ref, r := w.Notify(&m)
	if r.Status != 0 {
		w.answered(cseq, r.Status)
		return
	}
	f := &flight{recall: make(chan struct{}), ref: ref, cseq: cseq, parcel: m.Parcel}
	w.mu.Lock()
	w.flights[m.Transaction] = f
	w.mu.Unlock()
	w.work.Go(func() {
		o, told := w.fly(f, fmt.Sprint("s", cseq), cseq)
		if o.Late = !told; o.Late && o.Kind != dialogs.Responded {
			return
		}
		if o.Parcel = m.Parcel; o.Late {
			w.NotifyDone(ref, o)
			return
		}
		v := w.NotifyDone(ref, o)
		w.Announce(ref, cseq)
		status := v.Status
		if v.Relay {
			status = o.Status
		}
		w.answered(cseq, status)
	})
}

// answered is what the server gets for a NOTIFY.
func (w *tunnel) answered(cseq uint32, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch status {
	case 200:
	case 481, 408, 0:
		w.lost = true
		if !w.forgot {
			w.fails("the server has lost the subscription by %d to %d", status, cseq)
		}
	default:
		w.fails("the server got %d to %d", status, cseq)
	}
}

// refresh is a SUBSCRIBE of the phone in the dialog; the server sends its state then.
func (w *tunnel) refresh() {
	w.mu.Lock()
	away := w.silent || w.status != 0 || w.forgot
	w.subscribe++
	cseq := w.subscribe
	w.mu.Unlock()
	if away {
		return
	}
	m := dialogs.Message{
		At: time.Now(), CallID: []byte(callA.id), CSeq: cseq, FromURI: []byte(alice), FromTag: []byte("w" + callA.id),
		ToURI: []byte(callA.resource), ToTag: []byte(callA.tag), RequestURI: []byte(callA.resource), Event: dialogstest.Event(callA.event),
		Contacts: dialogstest.Contacts("<sip:alice@192.0.2.99:" + fmt.Sprint(5000+cseq) + ">"), Expires: 3600,
	}
	if r := w.Subscribe(&m); r.Status != 0 {
		w.mu.Lock()
		w.fails("the refresh got %d", r.Status)
		w.mu.Unlock()
		return
	}
	m.Status = 200
	w.SubscribeDone(&m)
	w.notifies(true)
}

func (w *tunnel) registers() {
	w.Register(&dialogs.Message{
		At: time.Now(), CallID: []byte("r"), CSeq: 1, FromURI: []byte("sip:scscf.test"), ToURI: []byte(alice),
		Contacts: dialogstest.Contacts("<sip:scscf.test>"), Expires: 3600,
	})
}

// network sets how the phone is reached.
func (w *tunnel) network(silent, deaf bool, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent, w.deaf, w.status = silent, deaf, status
}

// happening is one event, drawn before the time of the bubble begins to pass.
type happening struct {
	what string
	wait time.Duration
}

var happenings = rapid.Custom(func(t *rapid.T) happening {
	return happening{
		rapid.SampledFrom([]string{
			"full", "full", "full", "partial", "partial", "partial", "silence", "480", "503", "deaf", "out", "out", "refresh", "REGISTER",
		}).Draw(t, "what"),
		time.Duration(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 5000), rapid.IntRange(0, 60_000)).Draw(t, "ms")) * time.Millisecond,
	}
})

func (w *tunnel) happen(h happening) {
	switch h.what {
	case "full", "partial":
		w.notifies(h.what == "full")
	case "silence":
		w.network(true, false, 0)
	case "deaf":
		w.network(false, true, 0)
	case "480", "503":
		status, _ := strconv.Atoi(h.what)
		w.network(false, false, status)
	case "out":
		w.network(false, false, 0)
	case "refresh":
		w.refresh()
	case "REGISTER":
		w.registers()
	}
	<-time.After(h.wait)
}

func newTunnel(strict, stateful bool) *tunnel {
	w := &tunnel{ward: &ward{}, strict: strict, stateful: stateful, answers: map[string]int{}, fulls: map[uint32]bool{}, flights: map[uint64]*flight{}}
	w.post = redelivery.NewPostman(redelivery.Options{
		Config: redelivery.Config{For: time.Hour, MaxBytes: 1 << 20}, Rate: 100,
		Send: w.deliver, Open: func(netip.AddrPort) bool { return true },
		Hurry: func(id uint64) {
			select {
			case w.flight(id).hurry <- struct{}{}:
			default:
			}
		},
		Recall: func(id uint64) { close(w.flight(id).recall) },
		Ended:  func(e redelivery.End, o *dialogs.Outcome) { w.Redelivered(e, o) },
	})
	cfg := Config{Post: w.post, Overdue: w.overdue, NotifyTimeout: 28 * time.Second, Content: func(raw []byte) (string, string, []byte) {
		kind, body, _ := strings.Cut(string(raw), "|")
		return kind, "", []byte(body)
	}}
	w.Monitor = New(NewTable(cfg, nil), tunnelRecorder{wardRecorder{w.ward}, w}, zerolog.Nop(), nil)
	return w
}

// tunnelRecorder hears of every failure. None is due: the phone has its subscription.
type tunnelRecorder struct {
	wardRecorder

	w *tunnel
}

func (r tunnelRecorder) Offer(string, policy.Event) {}

func (r tunnelRecorder) Failed(f dialogs.Failure) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if !f.Witness && !r.w.forgot {
		r.w.fails("the user is told of a failure: %s", f.Event.Sub.Cause)
	}
}
