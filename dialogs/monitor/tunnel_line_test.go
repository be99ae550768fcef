package monitor

import (
	"fmt"
	"slices"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
)

// line is one subscription: what the phone knows of it, and what the server does.
type line struct {
	call

	on *set
	at string // the Contact of the phone, where it is reached

	// The phone.
	last, shows uint32 // the highest CSeq it has seen, and what it shows
	stale       time.Time
	answers     map[string]int
	forgot      bool
	fulls       map[uint32]bool
	accepted    []uint32

	// The server.
	cseq, subscribe uint32
	okTo            uint32 // the last that was answered 200
	lost, ended     bool   // by the server

	// over: why nobody is to hear of it any more. mayFail: something has happened after
	// which it may be given up; told: it was. vague: what the phone has is not known.
	over          string
	mayFail, told bool
	vague         bool
	proven        bool // rewatch knows that the phone has it
}

func (w *tunnel) line(name string) *line {
	return w.lines[slices.IndexFunc(w.lines, func(l *line) bool { return l.id == name })]
}

// open is a phone that subscribes. It has forgotten an earlier subscription to the same.
func (w *tunnel) open(on *set, resource string) *line {
	w.names++
	id := fmt.Sprint("l", w.names)
	l := &line{
		call: call{on.phone, id, "s" + id, "presence", resource}, on: on, at: on.contact, subscribe: 1,
		answers: map[string]int{}, fulls: map[uint32]bool{},
	}
	w.mu.Lock()
	for _, old := range w.lines {
		if old.on == on && old.resource == resource {
			old.forgot, old.mayFail = true, true
		}
	}
	w.lines = append(w.lines, l)
	w.mu.Unlock()
	w.subscribe(l.call, 1, 3600, 200)
	return l
}

// receive is the phone, which gets a NOTIFY by a branch. The lock is held.
func (w *tunnel) receive(l *line, branch string, cseq uint32) int {
	if status := l.answers[branch]; status != 0 {
		return status // a retransmission
	}
	status := 200
	switch {
	case l.forgot:
		status, l.mayFail = 481, true
	case cseq < l.last:
		// A core may send what the phone has had, at most for as long as it pauses.
		if l.over == "" && (!w.stateful || !slices.Contains(l.accepted, cseq)) {
			w.fails("%s: CSeq %d after %d", l.id, cseq, l.last)
		}
		if status = 500; !l.on.strict {
			status, l.shows, l.stale = 200, cseq, time.Now()
		}
	case cseq == l.last && l.on.strict:
		status = 500
	case cseq == l.last:
		l.shows = cseq
	default:
		if !l.fulls[cseq] && cseq != l.last+1 && l.over == "" && !l.vague && !l.lost {
			w.fails("%s: partial state %d after %d", l.id, cseq, l.last)
		}
		l.last, l.shows = cseq, cseq
		l.accepted = append(l.accepted, cseq)
	}
	l.answers[branch] = status
	return status
}

// checkStale says that no phone shows older state for longer than a round trip.
func (w *tunnel) checkStale() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if n := l.on; l.shows < l.last && time.Since(l.stale) > 200*time.Millisecond && !l.forgot && l.over == "" && !l.lost && !n.silent && !n.deaf && n.status == 0 {
			w.fails("%s shows %d and has had %d", l.id, l.shows, l.last)
		}
	}
}

// notifies is the server that has a new state; last: the subscription ends.
func (w *tunnel) notifies(l *line, full, last bool) {
	w.mu.Lock()
	if l.lost || l.ended {
		w.mu.Unlock()
		return
	}
	l.ended = last
	l.cseq++
	cseq, kind := l.cseq, partial
	if full {
		kind, l.fulls[cseq] = pidf, true
	}
	uri := l.at
	w.mu.Unlock()
	m := dialogs.Message{
		At: time.Now(), Side: dialogs.Server, CallID: []byte(l.id), CSeq: cseq, Transaction: w.transaction(l, cseq),
		FromURI: []byte(l.resource), FromTag: []byte(l.tag), ToURI: []byte(alice), ToTag: []byte("w" + l.id),
		RequestURI: []byte(uri), Event: dialogstest.Event(l.event), State: dialogs.SubscriptionState{Expires: 3600},
		Parcel: dialogs.Parcel{Raw: fmt.Appendf(nil, "NOTIFY %s %s|%s|%d", uri, kind, l.id, cseq)},
	}
	if last {
		m.State = dialogs.SubscriptionState{Terminated: true, Expires: -1}
	}
	ref, r := w.Notify(&m)
	if r.Status != 0 {
		w.answered(l, cseq, r.Status)
		return
	}
	f := &flight{recall: make(chan struct{}), line: l, ref: ref, cseq: cseq, parcel: m.Parcel}
	w.mu.Lock()
	w.flights[m.Transaction] = f
	w.mu.Unlock()
	w.work.Go(func() {
		o, told := w.fly(f, fmt.Sprint("s", cseq), uri, l, cseq)
		if o.Late = !told; o.Late && o.Kind != dialogs.Responded {
			return
		}
		o.Parcel = m.Parcel
		v := w.NotifyDone(ref, o)
		w.proves(l, o)
		if o.Late {
			return
		}
		w.Announce(ref, cseq)
		status := v.Status
		if v.Relay {
			status = o.Status
		}
		w.answered(l, cseq, status)
	})
}

// proves notes what rewatch has heard of a line.
func (w *tunnel) proves(l *line, o dialogs.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.proven = l.proven || o.Status == 200
}

// transaction of a NOTIFY of the server's.
func (w *tunnel) transaction(l *line, cseq uint32) uint64 {
	return uint64(cseq)<<32 | uint64(slices.Index(w.lines, l)+1)<<16 //nolint:gosec // small
}

// answered is what the server gets for a NOTIFY.
func (w *tunnel) answered(l *line, cseq uint32, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if status == 200 {
		l.okTo = max(l.okTo, cseq)
		return
	}
	l.lost = true
	if !l.mayFail && !w.scarce && l.over == "" {
		w.fails("the server has lost %s by %d to %d", l.id, status, cseq)
	}
}

// refresh is a SUBSCRIBE of the phone in the dialog; the server sends its state then. With
// expires 0 the phone leaves.
func (w *tunnel) refresh(l *line, expires int) {
	w.mu.Lock()
	away := l.on.silent || l.on.status != 0 || l.forgot || l.lost || l.over != ""
	l.subscribe++
	cseq := l.subscribe
	if !away {
		l.at = fmt.Sprint("sip:alice@192.0.2.99:", 5000+cseq)
	}
	w.mu.Unlock()
	if away {
		return
	}
	m := dialogs.Message{
		At: time.Now(), CallID: []byte(l.id), CSeq: cseq, FromURI: []byte(alice), FromTag: []byte("w" + l.id),
		ToURI: []byte(l.resource), ToTag: []byte(l.tag), RequestURI: []byte(l.resource), Event: dialogstest.Event(l.event),
		Contacts: dialogstest.Contacts("<" + l.at + ">"), Expires: expires,
	}
	if r := w.Subscribe(&m); r.Status != 0 {
		w.mu.Lock()
		if !l.told {
			w.fails("the refresh of %s got %d", l.id, r.Status)
		}
		w.mu.Unlock()
		return
	}
	if expires == 0 {
		w.ends(l, "un-SUBSCRIBE")
	}
	m.Status = 200
	w.SubscribeDone(&m)
	w.notifies(l, true, expires == 0)
}

// forgets is a phone that knows nothing of a subscription any more.
func (w *tunnel) forgets(l *line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.forgot = true
}

// ends notes that nobody is to hear of a line any more.
func (w *tunnel) ends(l *line, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.over == "" {
		l.over = why
	}
}

// registers is a third-party REGISTER. Who signs out has no subscription any more.
func (w *tunnel) registers(expires int) {
	if expires == 0 {
		for _, l := range w.lines {
			w.ends(l, "un-REGISTER")
			w.forgets(l)
		}
	}
	w.Register(&dialogs.Message{
		At: time.Now(), CallID: []byte("r"), CSeq: 1, FromURI: []byte("sip:scscf.test"), ToURI: []byte(alice),
		Contacts: dialogstest.Contacts("<sip:scscf.test>"), Expires: expires,
	})
}
