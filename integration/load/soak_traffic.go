package load

import (
	"bytes"
	"hash/fnv"
	"strconv"
	"time"
)

// phonesPace is how many SUBSCRIBEs begin in a second at most.
const phonesPace = 2000

// launch begins what is due.
func (s *soak) launch(now time.Duration) {
	at := (now - s.begin).Seconds()
	for ; !s.rest && float64(s.sent) < at*s.Rate; s.sent++ {
		if s.sent%100 < s.Registers {
			if s.up == 0 {
				s.start(Register, uint32(s.town.rnd.IntN(s.Users)), s.cseq(Register), now) //nolint:gosec // small
			}
		} else if dialog, cseq, ok := s.town.next(); ok {
			s.start(Notify, dialog, cseq, now)
		}
	}
	// The allowance of an idle second is not saved up.
	s.subs = max(s.subs, int(at*phonesPace)-phonesPace/10)
	for ; s.up == 0 && len(s.town.queue) > 0 && float64(s.subs) < at*phonesPace; s.subs++ {
		k, dialog := s.town.first(s.era)
		s.start(k, dialog, s.cseq(k), now)
	}
}

// cseq numbers the REGISTERs through; a SUBSCRIBE is the first of its dialog.
func (s *soak) cseq(k Kind) uint32 {
	if k == Register {
		s.registers++
	}
	return firstCSeq + s.registers
}

// start begins a transaction.
func (s *soak) start(k Kind, dialog, cseq uint32, now time.Duration) {
	o := open{kind: k, sent: now, transaction: transaction{dialog: dialog, cseq: cseq}}
	seq, _ := s.pending.add(o)
	*s.course(seq) = course{era: s.era, life: s.life}
	if k == Notify {
		_, p, _ := s.town.of(dialog)
		s.course(seq).era = p.era
		s.open++
	}
	s.transmit(s.pending.find(seq), now)
	s.timers.add(0, seq, now)
}

func (s *soak) course(seq uint64) *course { return &s.courses[seq%uint64(len(s.courses))] }

// transmit sends the request of a transaction, once more or for the first time.
func (s *soak) transmit(o *open, now time.Duration) {
	c := s.course(o.seq)
	var recordRoute []byte
	if o.kind == Subscribe {
		recordRoute = s.cores[c.era]
	}
	s.scratch = s.eras[c.era][o.kind].appendRequest(s.scratch[:0], o.transaction, recordRoute)
	if s.put(sender(o.kind), now) && !c.reached {
		c.reached = true
		if o.kind == Notify {
			s.Notified++
		}
	}
}

// put sends what is in scratch, and tells whether it reaches the target.
func (s *soak) put(end int, now time.Duration) bool {
	if end == coreEnd && s.up > 0 {
		return false
	}
	return s.air.send(end, s.ends[end], s.scratch, now)
}

// repeat sends again what has no final response (Timer E), and gives up at Timer F.
func (s *soak) repeat(now time.Duration) {
	for stage := range waits {
		for {
			seq, ok := s.timers.expired(stage, now)
			if !ok {
				break
			}
			c := s.course(seq)
			o := s.pending.find(seq)
			switch {
			case c.done, o.kind != Notify && c.life != s.life:
			case stage == len(waits)-1:
				s.gaveUp(o, c, now)
			default:
				s.transmit(o, now)
				s.timers.add(stage+1, seq, now)
			}
		}
	}
}

// gaveUp: Timer F of one of our own transactions has fired.
func (s *soak) gaveUp(o *open, c *course, now time.Duration) {
	c.done = true
	s.pending.end(o)
	switch o.kind {
	case Notify:
		s.open--
		s.Unended++
		if c.reached && !c.muffled {
			s.Unheard++
			s.keep("no final response", s.eras[c.era][Notify].appendRequest(nil, o.transaction, nil))
		}
		s.town.ended(o.dialog)
		s.town.broke(o.dialog, now)
	case Subscribe:
		if user, _, current := s.town.of(o.dialog); current {
			s.town.enqueue(user)
		}
	default:
		if user, p, _ := s.town.of(o.dialog); p.registers {
			s.town.enqueue(user)
		}
	}
}

// message is one that the target has sent.
func (s *soak) message(end int, raw []byte) {
	h := &s.head
	var o *open
	if h.scan(raw) {
		o = s.find(raw, h)
	}
	n := s.air.copies()
	answer := bytes.HasPrefix(raw, sipVersion)
	if answer && n == 0 && o != nil {
		s.course(o.seq).muffled = true
	}
	for range n {
		switch {
		case answer && o == nil:
			s.wrong("an answer to nothing", raw)
		case answer:
			s.answer(raw, o)
		case o == nil:
			s.foreign(end, raw)
		default:
			s.arrived(end, raw, o)
		}
	}
}

// keep remembers the first fault for the report.
func (s *soak) keep(what string, raw []byte) {
	if s.Sample == "" {
		s.Sample = s.now().String() + " " + what + ":\n" + string(raw)
	}
}

func (s *soak) wrong(what string, raw []byte) {
	s.Wrong++
	s.keep(what, raw)
}

// arrived is a request of ours that has come through.
func (s *soak) arrived(end int, raw []byte, o *open) {
	c, now := s.course(o.seq), s.now()
	if end == sender(o.kind) {
		s.wrong("a request came back", raw)
		return
	}
	w := &s.eras[c.era][o.kind]
	check := checker{target: s.cfg.Target, works: &s.eras[c.era]}
	if f := check.request(raw, &s.head, o.kind, o.transaction); f != "" {
		s.wrong(string(f), raw)
	}
	if o.kind == Subscribe && s.routes == nil {
		s.learn(&s.head)
		s.print()
	}
	s.scratch = w.appendAnswer(s.scratch[:0], raw, &s.head, o.kind, o.transaction)
	if _, _, current := s.town.of(o.dialog); !c.came {
		c.came, c.well = true, o.kind != Notify || current // and so is every copy answered
	}
	if !c.well {
		s.scratch = append([]byte("SIP/2.0 481 Gone\r\n"), s.scratch[len(okLine):]...)
	}
	if s.put(end, now) && c.told == 0 {
		c.told = now
		if o.kind == Notify && c.well && !c.done {
			s.Delivered++
		}
	}
}

// raceTime is by how much an answer may cross its opposite.
const raceTime = 250 * time.Millisecond

// answer is a response to a request of ours.
func (s *soak) answer(raw []byte, o *open) {
	c, now, status := s.course(o.seq), s.now(), raw[len(sipVersion)]
	switch {
	case status == '1':
		return
	case c.done:
		if c.status != 0 && c.status != status {
			s.Changed++
			s.keep("a final response, and before one with "+string(c.status), raw)
		}
		return
	case o.kind != Notify && c.life != s.life: // to a core that has forgotten it
		return
	}
	c.done, c.status = true, status
	s.pending.end(o)
	check := checker{target: s.cfg.Target, works: &s.eras[c.era]}
	if status == '2' {
		if f := check.response(raw, &s.head, o.kind, o.transaction); f != "" {
			s.wrong(string(f), raw)
		}
	}
	switch {
	case o.kind == Notify:
		s.judged(raw, o, c, now)
	case status != '2':
		s.Refused++
		s.keep("refused", raw)
		if user, _, current := s.town.of(o.dialog); o.kind == Subscribe && current {
			s.town.enqueue(user)
		}
	case o.kind == Subscribe:
		s.Subscribed++
		s.town.subscribed(o.dialog, c.era)
	default:
		s.Registered++
		s.town.registered(int(o.dialog), c.era)
	}
}

// judged: the server has the final response to a NOTIFY.
func (s *soak) judged(raw []byte, o *open, c *course, now time.Duration) {
	s.open--
	s.town.ended(o.dialog)
	if c.status == '2' {
		if c.told == 0 {
			s.Invented++
			s.keep("no phone has said so", raw)
		}
		return
	}
	s.Failed++
	if c.told > 0 && c.well {
		s.Delivered--
	}
	s.town.broke(o.dialog, now)
	if c.told > 0 && c.well && now-c.told > raceTime {
		s.Misjudged++
		s.keep("the phone has answered 2xx "+(now-c.told).String()+" ago", raw)
	}
}

// foreign is a request of the target's own.
func (s *soak) foreign(end int, raw []byte) {
	b, ok := appendForeign(s.scratch[:0], raw)
	if !ok {
		s.wrong("nobody's request", raw)
		return
	}
	now := s.now()
	switch {
	case bytes.HasPrefix(raw, []byte("REGISTER ")):
		s.SignedOut++
		s.keep("signed out", raw)
	case bytes.HasPrefix(raw, []byte("MESSAGE ")):
		s.Messages++
		// A phone that has subscribed anew says itself that it does not know its old dialog.
		if !bytes.Contains(raw, []byte("\r\nAttempt: 0 of ")) && !bytes.Contains(raw, []byte("\r\nCause: 481 ")) {
			s.Strikes++
			s.keep("a strike, though it was the core", raw)
		}
		s.town.told(userOf(raw), callIDOf(raw), now)
	}
	s.scratch = b
	s.put(end, now)
}

// callIDOf gives a hash of the Call-ID of a MESSAGE.
func callIDOf(raw []byte) uint64 {
	_, line, _ := bytes.Cut(raw, []byte("\r\nCall-ID: "))
	line, _, _ = bytes.Cut(line, []byte("\r\n"))
	h := fnv.New64a()
	_, _ = h.Write(line)
	return h.Sum64()
}

var toWatcher = []byte("\r\nTo: <sip:w")

// userOf reads the number of a user from the To of a MESSAGE.
func userOf(raw []byte) int {
	i := bytes.Index(raw, toWatcher)
	if i < 0 || len(raw) < i+len(toWatcher)+7 {
		return 0
	}
	n, _ := strconv.Atoi(string(raw[i+len(toWatcher):][:7]))
	return n
}
