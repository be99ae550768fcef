package transport

import "time"

const (
	// lingerFor is how long a stream is kept for the responses to its peer's requests after the
	// peer has shut down its own direction: no client waits longer for one (Timer F, RFC 3261
	// 17.1.2.2).
	lingerFor = 32 * time.Second
	// firstGlance and longestGlance are the pauses between two looks at such a stream.
	firstGlance, longestGlance = time.Millisecond, 64 * time.Millisecond
)

// Owe notes a request of the peer's that a response will be written to.
func (s *Stream) Owe() { s.owed.Add(1) }

// Reply is Write for a response. It is taken, too, when the peer sends no more. last tells that
// no further response to that request follows.
func (s *Stream) Reply(b []byte, last bool) error {
	err := s.enqueue(b, true)
	if last {
		s.owed.Add(-1)
	}
	return err
}

// linger keeps a stream whose peer sends no more until the responses that the peer waits for are
// written: for those it is still open (RFC 3261 18.2.2). The Handler is told at once, since no
// response comes by the stream. false: nothing is due.
func (s *Stream) linger(err error) bool {
	if !s.due() {
		return false
	}
	s.mu.Lock()
	s.half = true
	s.mu.Unlock()
	s.gone.Store(true)
	s.set.yields(s)
	s.set.handler.Closed(s, err)
	s.glance(lingerFor, func() bool { return !s.due() })
	return true
}

func (s *Stream) lingers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.half
}

// due tells whether something is to be written to the peer.
func (s *Stream) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owed.Load() > 0 || s.writing
}

// glance waits for a fact; false: the stream was closed, or it took too long.
func (s *Stream) glance(most time.Duration, fact func() bool) bool {
	for began, pause := time.Now(), firstGlance; !fact(); pause = min(2*pause, longestGlance) {
		if time.Since(began) >= most {
			return false
		}
		select {
		case <-time.After(pause):
		case <-s.done:
			return false
		}
	}
	return true
}

// arrives waits until the peer's system has acknowledged what was written. That of a peer that has
// closed the connection, and not only its own direction of it, refuses instead.
func (s *Stream) arrives() bool {
	open := true
	return s.glance(lingerFor, func() (acknowledged bool) {
		acknowledged, open = standing(s.conn)
		return acknowledged || !open
	}) && open
}

// yields lets a stream that lingers make room for another.
func (t *Streams) yields(s *Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.inside && !s.silent {
		s.since = time.Now()
		t.admission.yields(s)
	}
}

// end gives back what is queued for a closed stream.
func (s *Stream) end() {
	s.mu.Lock()
	left, queue := s.left, s.pending
	s.left, s.pending = nil, nil
	s.mu.Unlock()
	for _, b := range []struct {
		all  []byte
		vain int
	}{{left, s.vain}, {queue, len(queue)}} {
		if rest := s.set.whole(b.all, b.vain); len(rest) > 0 && s.set.cfg.Unsent != nil {
			s.set.cfg.Unsent(s, rest)
		}
		if b.all != nil {
			s.unqueue(b.all)
		}
	}
}

// whole gives the messages of which at least a part is in the last bytes of b.
func (t *Streams) whole(b []byte, last int) []byte {
	for len(b) > last {
		skip, n, err := t.cfg.Frame(b, 0)
		if err != nil || n == 0 || len(b)-skip-n < last {
			break
		}
		b = b[skip+n:]
	}
	return b
}
