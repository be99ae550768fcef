package transport

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

const (
	// firstBuffer is the size of the buffer that every stream reads into.
	firstBuffer = 4096
	// maxIdleBuffer bounds the buffer that a stream keeps between messages.
	maxIdleBuffer = 64 << 10
)

// inlet holds the incomplete message of a stream.
type inlet struct {
	set *Streams
	buf []byte
	// pause is how long the next read waits, because the last ones brought so few bytes.
	pause time.Duration
	// length is that of the message that begins in buf, once its header section is complete;
	// seen is how much of buf was searched in vain before.
	length, seen int
	// looked is how much of buf was searched for the end of the header section, pinging how
	// many bytes of a ping have come.
	looked, pinging int
	// until is the deadline that was set for the time between messages.
	until time.Time
}

func (t *Streams) newInlet() inlet { return inlet{set: t, buf: make([]byte, 0, firstBuffer)} }

// room makes room for more bytes in a full buffer. Memory beyond the first buffer comes from the
// account of the set.
func (in *inlet) room() error {
	if len(in.buf) < cap(in.buf) {
		return nil
	}
	t := in.set
	if cap(in.buf) >= t.cfg.MaxMessage {
		return ErrTooLarge
	}
	size := min(2*cap(in.buf), t.cfg.MaxMessage)
	if size > t.partial.share() {
		t.refused(RefusedMemory)
		return ErrCrowded
	}
	in.replace(append(make([]byte, 0, size), in.buf...))
	return nil
}

func (in *inlet) replace(buf []byte) {
	in.set.partial.add(cap(buf) - cap(in.buf))
	in.buf = buf
}

// rest keeps the bytes after the complete messages. An empty buffer that has grown is freed, unless
// it is small and there is enough memory for all.
func (in *inlet) rest(b []byte) {
	grown := cap(in.buf) > firstBuffer
	roomy := cap(in.buf) <= maxIdleBuffer && in.set.partial.used.Load() <= in.set.partial.limit/2
	if len(b) == 0 && grown && !roomy {
		in.replace(make([]byte, 0, firstBuffer))
		return
	}
	if len(b) < len(in.buf) { // else it is where it belongs
		in.buf = append(in.buf[:0], b...)
	}
}

// close gives the memory back to the account.
func (in *inlet) close() { in.set.partial.add(firstBuffer - cap(in.buf)) }

// ripe tells whether a message may be complete now. If the new bytes have no line end in the header
// section, or the body is shorter than its length, it is not: searching all of it at every byte
// would cost too much.
func (in *inlet) ripe() bool {
	if in.length > 0 {
		return len(in.buf) >= in.length
	}
	seen := in.seen
	in.seen = len(in.buf)
	return seen == 0 || bytes.IndexByte(in.buf[seen:], '\n') >= 0
}

const (
	// dribble is how few bytes make a read too small to be worth its cost.
	dribble = 64
	// firstPause and longestPause are the pauses after such reads; they double.
	firstPause   = time.Millisecond
	longestPause = time.Second
)

// dribbles notes that a read has brought n bytes and maybe no message. A sender of a few bytes at a
// time is read less and less often, more bytes together. So thousands of such senders do not take
// the time from those that send messages, even if all of them send at the same moment.
func (in *inlet) dribbles(n int, message bool) {
	switch {
	case message:
		in.pause = 0
	case n < dribble:
		in.pause = min(max(firstPause, 2*in.pause), longestPause)
	}
}

// rests waits before the next read; false: the stream was closed meanwhile.
func (s *Stream) rests(d time.Duration) bool {
	if d == 0 {
		return true
	}
	t := time.NewTimer(d/2 + rand.N(d)) //nolint:gosec // not a secret
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.done:
		return false
	}
}

// read cuts the stream into messages until it ends. A deadline is set when a
// message begins and not moved by its later bytes, so that a slow sender cannot
// hold a stream open with one byte at a time.
func (s *Stream) read() error {
	in := s.set.newInlet()
	defer in.close()
	begins := true
	for {
		if err := in.room(); err != nil {
			if errors.Is(err, ErrTooLarge) {
				s.lastWord(in.buf, err)
			}
			return ours(err)
		}
		if begins && !in.await(s) {
			return ErrClosed
		}
		if !s.rests(in.pause) {
			return ErrClosed
		}
		had := len(in.buf)
		n, err := s.conn.Read(in.buf[had:cap(in.buf)])
		if n > 0 && s.frugal != nil {
			s.frugal.said()
		}
		begins = had == 0 && n > 0
		in.buf = in.buf[:had+n]
		served := s.Served()
		if n > 0 && in.ripe() {
			rest, ferr := s.cut(&in)
			if ferr != nil {
				return ours(ferr)
			}
			begins = begins || len(rest) < len(in.buf)
			in.rest(rest)
		}
		in.dribbles(n, s.Served() > served)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.late(len(in.buf))
			return ours(err)
		}
		if errors.Is(err, io.EOF) && len(in.buf) > 0 {
			return io.ErrUnexpectedEOF // that is no good order
		}
		if err != nil {
			return err
		}
	}
}

// late counts a stream that is closed because no complete message came in time.
func (s *Stream) late(have int) {
	if !s.unspoken(have) {
		return
	}
	select {
	case <-s.done: // it was closed for something else
	default:
		s.set.refused(RefusedSlow)
	}
}

// slack: the time between messages may be longer by a sixteenth, so that the deadline, which costs
// a timer, need not be set at every message.
const slack = 16

// await sets the deadline of the next bytes; false: the stream is closed.
func (in *inlet) await(s *Stream) bool {
	d := s.patience(len(in.buf))
	if d < in.set.cfg.IdleTimeout {
		in.until = time.Time{}
		return s.extend(s.conn.SetReadDeadline, d)
	}
	now := time.Now()
	if in.until.Sub(now) >= d {
		return true
	}
	d += d / slack
	in.until = now.Add(d)
	return s.extend(s.conn.SetReadDeadline, d)
}

// patience is how long to wait for the next bytes after have bytes of a message: long between
// messages, short within one and before the first.
func (s *Stream) patience(have int) time.Duration {
	if s.alone {
		return aloneFor
	}
	if s.unspoken(have) {
		return s.set.cfg.MessageTimeout
	}
	return s.set.cfg.IdleTimeout
}

// unspoken tells whether a message is incomplete, or the first one has not come.
func (s *Stream) unspoken(have int) bool { return have > 0 || !s.Dialled && s.Served() == 0 }

// cut handles the complete messages and gives the remaining bytes.
func (s *Stream) cut(in *inlet) ([]byte, error) {
	buf, seen := in.buf, in.looked
	in.length, in.looked = 0, 0
	pings := 0
	for len(buf) > 0 {
		skip, n, err := s.set.cfg.Frame(buf, seen)
		seen = 0
		if err != nil {
			s.lastWord(buf[skip:], err)
			return nil, err
		}
		pings += in.pings(buf[:skip])
		buf = buf[skip:]
		if len(buf) > 0 {
			in.pinging = 0
		}
		if n == 0 {
			in.looked = len(buf)
			break
		}
		if n > s.set.cfg.MaxMessage {
			s.lastWord(buf, ErrTooLarge)
			return nil, ErrTooLarge
		}
		if n > len(buf) {
			in.length = n
			break
		}
		if s.served.Add(1) == 1 {
			s.set.spoke(s)
		}
		s.set.handler.Message(s, buf[:n])
		buf = buf[n:]
	}
	if pings > 0 {
		_ = s.Write(bytes.Repeat(pong, pings))
	}
	in.seen = len(buf)
	return buf, nil
}

// ping and pong keep a connection alive (RFC 5626 3.5.1, 4.4.1).
var ping, pong = []byte("\r\n\r\n"), []byte("\r\n")

// pings counts the pings in the empty lines between two messages. One of them may come
// in pieces, and with others or a message in one segment.
func (in *inlet) pings(b []byte) (n int) {
	for _, c := range b {
		if c != ping[in.pinging] {
			in.pinging = 0
		}
		if c == ping[in.pinging] {
			in.pinging++
		}
		if in.pinging == len(ping) {
			in.pinging = 0
			n++
		}
	}
	return n
}
