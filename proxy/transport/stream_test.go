package transport

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"rewatch/proxy/wire"
)

// echo writes everything back.
type echo struct{}

func (echo) Message(s *Stream, raw []byte)     { _ = s.Write(raw) }
func (echo) Unreadable(*Stream, []byte, error) {}
func (echo) Closed(*Stream, error)             {}

// TestStreamAllocatesNothing: neither a message that comes nor one that leaves.
func TestStreamAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	set := NewStreams(StreamConfig{Frame: wire.FrameFrom}, echo{})
	defer set.Shutdown()
	set.Serve(l, false, "tag")
	conn, err := net.Dial("tcp4", l.Addr().String()) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	msg := []byte("MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000))
	back := make([]byte, len(msg))
	if n := testing.AllocsPerRun(2000, func() {
		if _, err := conn.Write(msg); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, back); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a message and its way back", n)
	}
}
