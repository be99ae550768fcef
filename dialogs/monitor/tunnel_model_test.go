package monitor

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/redelivery"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// tunnel is a server, the phones of alice and the network between rewatch and them, which
// is there or not. Monitor and Postman are the real ones.
type tunnel struct {
	*ward

	post *redelivery.Postman
	work sync.WaitGroup

	mu      sync.Mutex
	fault   string
	story   []string
	began   time.Time
	flights map[uint64]*flight // attempts of the Postman, and by transaction those of the server
	// stateful: the core retransmits by itself what it has been given once, and nothing that
	// comes once more by the same branch hurries it.
	stateful bool
	// scarce: anything may have no room, or its time may be over.
	scarce bool
	phones [2]*set
	lines  []*line
	stored [][]store.Entry
	names  int
}

// set is a phone and its network: silent swallows, status is what the core answers instead
// of the phone (0: it forwards). With deaf the answers of the phone are lost.
type set struct {
	phone

	silent, deaf  bool
	status, after int
	strict        bool // 500 to a CSeq that is not above the last (pjsip)
}

// flight is a NOTIFY on its way.
type flight struct {
	hurry, recall chan struct{}

	// Of one of the server's.
	line   *line
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
		f.recalls()
		w.answered(f.line, f.cseq, v.Status)
	}
}

func (w *tunnel) fails(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf("%s: %s; %s", time.Since(w.began), fmt.Sprintf(format, args...), strings.Join(w.story, ", "))
	}
}

// fly sends a NOTIFY as a client transaction by UDP does, until it is answered, recalled
// or out of time. told is false where nobody is to hear how it ended. A stateful core
// does not hear of a recall.
func (w *tunnel) fly(f *flight, branch, uri string, l *line, cseq uint32) (o dialogs.Outcome, told bool) {
	deadline, next, pause := time.Now().Add(28*time.Second), time.Now(), 500*time.Millisecond
	hurry, recall := f.hurry, f.recall
	if w.stateful {
		hurry = nil
	}
	told = true
	for {
		if status, after := w.reach(branch, uri, l, cseq); status != 0 {
			<-time.After(30 * time.Millisecond)
			return dialogs.Outcome{Kind: dialogs.Responded, At: time.Now(), Status: status, RetryAfter: after, CSeq: cseq}, told
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
func (w *tunnel) reach(branch, uri string, l *line, cseq uint32) (status, after int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := l.on
	if n.status != 0 && l.answers[branch] == 0 { // a core that has forwarded it waits for the phone
		if redelivery.Classify(&dialogs.Outcome{Status: n.status, RetryAfter: n.after}) != redelivery.Temporary {
			l.mayFail = true
			l.vague = l.vague || n.status == 500 // upon a copy it counts as delivered
		}
		l.vague = l.vague || n.after >= 0 && w.scarce // without room there is a time in which another may succeed
		return n.status, n.after
	}
	if n.silent || n.status != 0 || uri != l.at {
		return 0, -1
	}
	if status = w.receive(l, branch, cseq); n.deaf {
		status = 0
	}
	return status, -1
}

func (w *tunnel) deliver(id uint64, p dialogs.Parcel) bool {
	f := &flight{hurry: make(chan struct{}, 1), recall: make(chan struct{})}
	uri, rest, _ := strings.Cut(strings.TrimPrefix(string(p.Raw), "NOTIFY "), " ")
	_, body, _ := strings.Cut(rest, "|")
	name, number, _ := strings.Cut(body, "|")
	cseq, _ := strconv.Atoi(number)
	w.mu.Lock()
	w.flights[id] = f
	l := w.line(name)
	if l.over != "" {
		w.fails("%s/%d is sent after %s", name, cseq, l.over)
	}
	w.mu.Unlock()
	w.work.Go(func() {
		if o, told := w.fly(f, fmt.Sprint("d", id), uri, l, uint32(cseq)); told || o.Kind == dialogs.Responded { //nolint:gosec // small
			w.post.Outcome(id, o)
			w.proves(l, o)
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

// frame is what a tunnel is drawn with.
type frame struct {
	strict, stateful bool
	room             int
	lasts            time.Duration
}

func newTunnel(r frame) *tunnel {
	w := &tunnel{ward: &ward{}, stateful: r.stateful, scarce: r.room < 1<<20 || r.lasts < time.Hour, flights: map[uint64]*flight{}, began: time.Now()}
	w.phones = [2]*set{{phone: phoneA, strict: r.strict}, {phone: phoneB}}
	w.post = redelivery.NewPostman(redelivery.Options{
		Config: redelivery.Config{For: r.lasts, MaxBytes: r.room}, Rate: 100,
		Send: w.deliver, Open: func(netip.AddrPort) bool { return true },
		Hurry: func(id uint64) {
			if f := w.flight(id); f != nil { // else it was given up before it was sent
				select {
				case f.hurry <- struct{}{}:
				default:
				}
			}
		},
		Recall: func(id uint64) {
			if f := w.flight(id); f != nil {
				f.recalls()
			}
		},
		Ended: func(e redelivery.End, o *dialogs.Outcome) { w.Redelivered(e, o) },
	})
	w.Monitor = w.monitor()
	return w
}

// monitor of a process.
func (w *tunnel) monitor() *Monitor {
	cfg := Config{Post: w.post, Overdue: w.overdue, NotifyTimeout: 28 * time.Second, Content: func(raw []byte) (string, string, []byte) {
		_, text, _ := strings.Cut(strings.TrimPrefix(string(raw), "NOTIFY "), " ")
		kind, body, _ := strings.Cut(text, "|")
		return kind, "", []byte(body)
	}}
	return New(NewTable(cfg, nil), tunnelRecorder{wardRecorder{w.ward}, w}, zerolog.Nop(), nil)
}

// recalls ends the retransmissions.
func (f *flight) recalls() {
	select {
	case <-f.recall:
	default:
		close(f.recall)
	}
}

// tunnelRecorder hears of every failure. None is due of a subscription that the phone has.
type tunnelRecorder struct {
	wardRecorder

	w *tunnel
}

func (r tunnelRecorder) Offer(string, policy.Event) {}

func (r tunnelRecorder) Failed(f dialogs.Failure) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if f.Witness {
		return
	}
	l := r.w.line(f.Event.Sub.CallID)
	if n := r.w.newer(l); n != nil && n.proven {
		r.w.fails("the user is told of a failure of %s, whose phone has %s", l.id, n.id)
	}
	if l.told = true; l.over != "" || !l.mayFail && !r.w.scarce {
		r.w.fails("the user is told of a failure of %s: %s (%s)", l.id, f.Event.Sub.Cause, l.over)
	}
}
