//go:build linux

package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// pair gives the two ends of a TCP connection.
func pair(t *testing.T) (ours net.Conn, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialled.Close(), accepted.Close() })
	ours = straight(dialled)
	if _, ok := ours.(*direct); !ok {
		t.Fatalf("%T", ours)
	}
	return ours, accepted.(*net.TCPConn) //nolint:forcetypeassert // tcp
}

// TestDirect does what any connection does: more than the kernel takes at once,
// the end in good order and by reset, deadlines.
func TestDirect(t *testing.T) {
	t.Run("whole", func(t *testing.T) {
		ours, theirs := pair(t)
		sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
		got := make(chan []byte)
		go func() {
			b, _ := io.ReadAll(theirs)
			got <- b
		}()
		if n, err := ours.Write(sent); n != len(sent) || err != nil {
			t.Fatal(n, err)
		}
		if err := ours.Close(); err != nil {
			t.Fatal(err)
		}
		if b := <-got; !bytes.Equal(b, sent) {
			t.Error(len(b))
		}
	})
	t.Run("end", func(t *testing.T) {
		ours, theirs := pair(t)
		_, _ = theirs.Write([]byte("bye"))
		_ = theirs.CloseWrite()
		b := make([]byte, 100)
		if n, err := ours.Read(nil); n != 0 || err != nil {
			t.Error(n, err)
		}
		if n, err := ours.Read(b); string(b[:n]) != "bye" || err != nil {
			t.Error(n, err)
		}
		if n, err := ours.Read(b); n != 0 || !errors.Is(err, io.EOF) {
			t.Error(n, err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		ours, theirs := pair(t)
		_ = theirs.SetLinger(0)
		_ = theirs.Close()
		if n, err := ours.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Error(n, err)
		}
		if n, err := ours.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EPIPE) {
			t.Error(n, err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		ours, _ := pair(t)
		_ = ours.SetDeadline(time.Now().Add(time.Millisecond))
		if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if n, err := ours.Write(make([]byte, 64<<20)); n == 64<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(n, err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		ours, _ := pair(t)
		_ = ours.Close()
		if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("allocations", func(t *testing.T) {
		if raceEnabled {
			t.Skip("the race detector allocates")
		}
		ours, theirs := pair(t)
		b := make([]byte, 100)
		n := testing.AllocsPerRun(1000, func() {
			if _, err := theirs.Write(b); err != nil {
				t.Fatal(err)
			}
			if _, err := ours.Read(b); err != nil {
				t.Fatal(err)
			}
			if _, err := ours.Write(b); err != nil {
				t.Fatal(err)
			}
			if _, err := theirs.Read(b); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Error(n)
		}
	})
}

// TestStall: a Write that has to wait says so, once, and then has a deadline; one that
// need not wait says nothing.
func TestStall(t *testing.T) {
	ours, theirs := pair(t)
	d := ours.(*direct) //nolint:forcetypeassert // see pair
	stalls, wait := 0, true
	d.onStall(func() bool {
		stalls++
		_ = d.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		return wait
	})
	if _, err := d.Write([]byte("short")); err != nil || stalls != 0 || d.stalled() {
		t.Fatal(err, stalls)
	}
	much := make([]byte, 64<<20) // more than the kernel takes
	if n, err := d.Write(much); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || stalls != 1 || !d.stalled() {
		t.Fatal(n, err, stalls)
	}
	_ = d.SetWriteDeadline(time.Time{})
	wait = false
	if _, err := d.Write(much); !errors.Is(err, syscall.ECANCELED) || stalls != 2 {
		t.Fatal(err, stalls)
	}
	_ = d.SetWriteDeadline(time.Time{})
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	d.onStall(func() bool {
		stalls++
		return true
	})
	if n, err := d.Write(much); n != len(much) || err != nil || stalls != 3 {
		t.Fatal(n, err, stalls)
	}
}
