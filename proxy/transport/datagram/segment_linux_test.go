package datagram

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// alike puts datagrams of one length into an outbox.
func alike(o *Outbox, n int, p *Packet) (all [][]byte) {
	for i := range n {
		d := bytes.Repeat([]byte{byte(i)}, 800)
		o.Add(d, p.Local())
		all = append(all, d)
	}
	return all
}

// TestSegmentsAreOne piece for the kernel.
func TestSegmentsAreOne(t *testing.T) {
	a, b := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
	if !a.able {
		t.Skip("this kernel has no UDP_SEGMENT")
	}
	o := NewOutbox()
	all := alike(o, BatchSize, b)
	send(t, a, o)
	if o.sys.n != 1 {
		t.Errorf("the batch left in %d pieces", o.sys.n)
	}
	got, _ := receive(t, b, len(all))
	same(t, got, all)
}

// TestSegmentsRefused: where the kernel does not take several in one piece, here because the socket
// makes no checksums, every datagram leaves by itself, and the next ones too.
func TestSegmentsRefused(t *testing.T) {
	a, b := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
	if !a.able {
		t.Skip("this kernel has no UDP_SEGMENT")
	}
	raw, err := a.conn.(*net.UDPConn).SyscallConn() //nolint:forcetypeassert // it is
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			if e := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); e != nil {
				t.Error(e)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	o := NewOutbox()
	for range 2 {
		o.Add([]byte("first"), b.Local())
		all := append([][]byte{[]byte("first")}, alike(o, 10, b)...)
		send(t, a, o)
		if a.segmenting() {
			t.Error("segments go on")
		}
		got, _ := receive(t, b, len(all))
		same(t, got, all)
	}
}

// TestSegmentationPause: segments are sent again some time after the error.
func TestSegmentationPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := segmentation{able: true}
		if !s.segmenting() {
			t.Error("no segments at first")
		}
		s.pauseSegmenting()
		time.Sleep(segmentationPause - time.Millisecond)
		if s.segmenting() {
			t.Error("segments too soon")
		}
		time.Sleep(2 * time.Millisecond)
		if !s.segmenting() || s.off.Load() != 0 {
			t.Error("no segments any more")
		}
		if s.able = false; s.segmenting() {
			t.Error("segments where the kernel knows none")
		}
	})
}

// TestDeadAddressPausesSegments: after a piece of several to a dead port each datagram goes by itself,
// so that the kernel tells of each.
func TestDeadAddressPausesSegments(t *testing.T) {
	a, dead := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
	_ = dead.Close()
	o, told := NewOutbox(), 0
	alike(o, 10, dead)
	_, _ = a.Send(o)
	a.drainErrors() // as the reader does when it is woken
	if a.able && a.segmenting() {
		t.Error("segments go on")
	}
	a.OnRefused = func(netip.AddrPort, []byte, error) { told++ }
	for range 10 { // by itself, as a retransmission comes
		alike(o, 1, dead)
		_, _ = a.Send(o)
		a.drainErrors()
	}
	if told != 10 {
		t.Errorf("told of %d of 10 datagrams", told)
	}
}
