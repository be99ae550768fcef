package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// from opens a connection from an address.
func (s *stage) from(ip string) net.Conn {
	s.Helper()
	c, err := s.net.Dial(context.Background(), netip.MustParseAddr(ip), netip.MustParseAddrPort(here))
	if err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
	return c
}

// open tells whether the other end has left a connection open.
func open(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// TestSilentMakeRoom closes the oldest connection that has said nothing for a
// newcomer, but none that has spoken, and none that had no time to speak.
func TestSilentMakeRoom(t *testing.T) {
	var refused refusals
	play(t, transport.StreamConfig{MaxStreams: 3, Refused: refused.add}, func(s *stage) {
		talker := s.from("10.0.0.2")
		write(talker, message(100))
		oldest, other := s.from("10.0.0.3"), s.from("10.0.0.3")
		write(oldest, message(100)[:40]) // half a message is not one
		if c := s.from("10.0.0.4"); open(c) {
			t.Fatal("others have not had the time to speak")
		}
		wait(2 * time.Second)
		newcomer := s.from("10.0.0.4")
		write(newcomer, message(100))
		if !open(newcomer) || open(oldest) || !open(other) || !open(talker) {
			t.Fatal("not the oldest of the silent has made room")
		}
		write(other, message(100))
		wait(time.Minute)
		if c := s.from("10.0.0.5"); open(c) {
			t.Error("somebody who has spoken was closed")
		}
		if a, b := refused.of(transport.RefusedStreams), refused.of(transport.RefusedSilent); a != 2 || b != 1 {
			t.Errorf("%d were refused, %d have made room", a, b)
		}
		if l := s.set.Load(); l.Accepted != 3 || s.set.Len() != 3 {
			t.Errorf("%+v", l)
		}
	})
}

// TestPerPeer bounds what one address has, and leaves the others theirs.
func TestPerPeer(t *testing.T) {
	var refused refusals
	play(t, transport.StreamConfig{MaxStreams: 10, MaxPerPeer: 2, Refused: refused.add}, func(s *stage) {
		a, b := s.from("10.0.0.2"), s.from("10.0.0.2")
		write(a, message(100))
		c, other := s.from("10.0.0.2"), s.from("10.0.0.3")
		if open(c) || !open(other) || !open(b) {
			t.Fatal("not the third of the one address was refused")
		}
		wait(2 * time.Second)
		d := s.from("10.0.0.2")
		if open(b) || !open(d) || !open(other) {
			t.Error("not the silent one of the same address has made room")
		}
		_ = a.Close()
		synctest.Wait()
		if e := s.from("10.0.0.2"); !open(e) {
			t.Error("the place of one that was closed is not free")
		}
		if x, y := refused.of(transport.RefusedPerPeer), refused.of(transport.RefusedSilent); x != 1 || y != 1 {
			t.Errorf("%d were refused, %d have made room", x, y)
		}
	})
}

// TestQueuedTogether bounds what waits for many slow readers, and leaves room for
// one that reads.
func TestQueuedTogether(t *testing.T) {
	const most, slow, floor = 1 << 20, 200, 8 << 10
	play(t, transport.StreamConfig{MaxQueued: most, WriteTimeout: time.Minute}, func(s *stage) {
		full := []byte(message(1000))
		for range slow {
			write(s.from("10.0.0.2"), message(100))
			for s.last.Write(full) == nil {
				synctest.Wait() // the first one is taken to be written
			}
		}
		if l := s.set.Load(); l.Queued > most+slow*floor || l.Queued < most/2 {
			t.Errorf("%d bytes wait, of %d", l.Queued, most)
		}
		good := s.from("10.0.0.3")
		write(good, message(100))
		if err := s.last.Write(full); err != nil {
			t.Error("those who do not read leave no room: ", err)
		}
		if _, err := io.ReadFull(good, make([]byte, len(full))); err != nil {
			t.Error(err)
		}
		wait(2 * time.Minute)
		if l := s.set.Load(); l.Queued != 0 {
			t.Errorf("%d bytes are still counted", l.Queued)
		}
	})
}

// TestPartialTogether bounds what many slow senders have us keep of their
// messages, and leaves room for one that sends a long one.
func TestPartialTogether(t *testing.T) {
	const most, slow, floor = 1 << 20, 300, 16 << 10
	var refused refusals
	cfg := transport.StreamConfig{MaxPartial: most, MessageTimeout: 20 * time.Second, Refused: refused.add}
	play(t, cfg, func(s *stage) {
		for range slow {
			c := s.from("10.0.0.2")
			go func() { _, _ = c.Write([]byte(message(200_000)[:30_000])) }()
			synctest.Wait()
		}
		if l := s.set.Load(); l.Partial > most+slow*floor || l.Partial < most/2 {
			t.Errorf("%d bytes are kept, of %d", l.Partial, most)
		}
		if refused.of(transport.RefusedMemory) == 0 {
			t.Error("nobody was refused")
		}
		before, _ := s.got()
		write(s.from("10.0.0.3"), message(6000))
		if n, _ := s.got(); n != before+1 {
			t.Error("those who are slow leave no room")
		}
		wait(21 * time.Second)
		if l := s.set.Load(); l.Partial > 1<<14 {
			t.Errorf("%d bytes are still kept", l.Partial)
		}
	})
}

// TestByteByByte looks at a message as often as it has lines, and not as often as
// it has bytes: a sender of single bytes must not keep us busy.
func TestByteByByte(t *testing.T) {
	looks := 0
	frame := func(b []byte, seen int) (int, int, error) {
		looks++
		return wire.FrameFrom(b, seen)
	}
	play(t, transport.StreamConfig{Frame: frame, MessageTimeout: 24 * time.Hour}, func(s *stage) {
		text := "MESSAGE sip:a@b SIP/2.0\r\nSubject: " + strings.Repeat("x", 2000) +
			"\r\nContent-Length: 2000\r\n\r\n" + strings.Repeat("y", 2000)
		write(s.dial(), strings.Split(text, "")...)
		wait(2 * time.Second)
		if n, _ := s.got(); n != 1 || s.messages[0] != text {
			t.Fatal(n, "messages, or not what was sent")
		}
		if most := strings.Count(text, "\n") + 2; looks > most {
			t.Errorf("looked %d times, more than %d", looks, most)
		}
	})
}

// TestDribble reads a sender of single bytes less and less often, and one who sends
// messages at once again. Each byte waits here until the one before it was read. The pauses
// are random, half as long as said or half as long again: 190 of a second each.
func TestDribble(t *testing.T) {
	play(t, transport.StreamConfig{MessageTimeout: time.Hour}, func(s *stage) {
		c := s.dial()
		start := time.Now()
		write(c, strings.Split(message(200), "")...)
		if took := time.Since(start); took < 95*time.Second || took > 290*time.Second {
			t.Errorf("200 bytes were read in %v", took)
		}
		wait(2 * time.Second)
		start = time.Now()
		for want := 1; want < 5; want++ {
			if n, _ := s.got(); n != want {
				t.Fatalf("%d messages, want %d", n, want)
			}
			write(c, message(1000))
		}
		_ = c.Close()
		if _, n := s.got(); n != 1 || time.Since(start) != 0 {
			t.Errorf("what comes after it is not read at once, but after %v", time.Since(start))
		}
	})
}
