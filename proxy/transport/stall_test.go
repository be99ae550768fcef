package transport

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// stallingPipe is a connection that says when a Write has to wait, which is always. As
// with a socket, a deadline that has passed fails it before that.
type stallingPipe struct {
	net.Conn
	wait func() bool
	end  time.Time
}

func (p *stallingPipe) onStall(f func() bool) { p.wait = f }
func (p *stallingPipe) stalled() bool         { return true }

func (p *stallingPipe) SetWriteDeadline(t time.Time) error {
	p.end = t
	return p.Conn.SetWriteDeadline(t)
}

func (p *stallingPipe) Write(b []byte) (int, error) {
	if !p.end.IsZero() && !time.Now().Before(p.end) {
		return 0, os.ErrDeadlineExceeded
	}
	if !p.wait() {
		return 0, net.ErrClosed
	}
	return p.Conn.Write(b)
}

// ends are told of the end of a stream.
type ends chan error

func (ends) Message(*Stream, []byte)           {}
func (ends) Unreadable(*Stream, []byte, error) {}
func (e ends) Closed(_ *Stream, err error)     { e <- err }

// TestStalledWrite: a peer who takes nothing has WriteTimeout; that they were slow once is
// not held against them later.
func TestStalledWrite(t *testing.T) {
	const timeout = 30 * time.Second
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		end := make(ends, 1)
		set := NewStreams(StreamConfig{
			WriteTimeout: timeout, Frame: func([]byte, int) (int, int, error) { return 0, 0, nil },
			Dial: func(context.Context, netip.AddrPort) (net.Conn, error) { return &stallingPipe{Conn: ours}, nil },
		}, end)
		defer set.Shutdown()
		s := set.To(netip.MustParseAddrPort("192.0.2.1:5060"), false, "")
		b := make([]byte, 4)
		for range 3 {
			if err := s.Write([]byte("text")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(timeout - time.Second)
			if _, err := io.ReadFull(theirs, b); err != nil || string(b) != "text" {
				t.Fatal(err, string(b))
			}
			time.Sleep(2 * time.Second) // what the deadline was is over
		}
		if err := s.Write([]byte("text")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(timeout - time.Millisecond)
		select {
		case err := <-end:
			t.Fatal("closed too early: ", err)
		default:
		}
		time.Sleep(2 * time.Millisecond)
		if err := <-end; err == nil {
			t.Error("closed without an error")
		}
	})
}
