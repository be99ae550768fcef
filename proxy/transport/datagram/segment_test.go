package datagram

import (
	"bytes"
	"net/netip"
	"testing"
)

// TestSegments cuts what waits for one address into pieces.
func TestSegments(t *testing.T) {
	here, there := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	for _, c := range []struct {
		name   string
		sizes  []int
		other  int // the datagram that goes elsewhere, -1: none
		count  int
		length int
	}{
		{"one alone", []int{700}, -1, 1, 700},
		{"all alike", []int{700, 700, 700}, -1, 3, 2100},
		{"a shorter one is the last", []int{700, 700, 300, 300}, -1, 3, 1700},
		{"a longer one is not for it", []int{700, 701, 700}, -1, 1, 700},
		{"another address", []int{700, 700, 700}, 1, 1, 700},
		{"too large for a link", []int{maxSegment + 1, maxSegment + 1}, -1, 1, maxSegment + 1},
		{"as large as may be", []int{maxSegment, maxSegment}, -1, 2, 2 * maxSegment},
		{"nothing in it", []int{0, 0}, -1, 1, 0},
		{"nothing behind it", []int{5, 0}, -1, 1, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := NewOutbox()
			o.Add([]byte("before it"), there)
			for i, size := range c.sizes {
				to := here
				if i == c.other {
					to = there
				}
				o.Add(make([]byte, size), to)
			}
			if count, length := o.segments(1); count != c.count || length != c.length {
				t.Errorf("%d datagrams of %d bytes, want %d of %d", count, length, c.count, c.length)
			}
		})
	}
	o := NewOutbox()
	for range 60 {
		o.Add(make([]byte, maxSegment), here)
	}
	if count, length := o.segments(0); count != maxSegmented/maxSegment || length > maxSegmented {
		t.Errorf("%d of %d bytes are one piece", count, length)
	}
}

// mixed gives datagrams for a and b as a proxy has them: runs of a length, shorter ones,
// large ones, and some for another address in between.
func mixed(o *Outbox, a, b netip.AddrPort) (toA, toB [][]byte) {
	for i := range BatchSize {
		size := []int{900, 900, 900, 450, 1400, 1400, 1401, 20, 20, 3000}[i%10]
		d := bytes.Repeat([]byte{byte(i)}, size)
		if i%7 == 6 {
			o.Add(d, b)
			toB = append(toB, d)
		} else {
			o.Add(d, a)
			toA = append(toA, d)
		}
	}
	return toA, toB
}

func same(t *testing.T, got, want [][]byte) {
	t.Helper()
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("datagram %d: %d bytes of %d, want %d of %d", i, len(got[i]), got[i][0], len(want[i]), want[i][0])
		}
	}
}

// TestSegmentsArrive as the datagrams that they are made of, in their order.
func TestSegmentsArrive(t *testing.T) {
	for _, c := range pairs {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, c.network, c.addr, false)
			a, b := open(t, c.otherNetwork, c.other, false), open(t, c.otherNetwork, c.other, false)
			o := NewOutbox()
			for range 3 {
				toA, toB := mixed(o, a.Local(), b.Local())
				send(t, p, o)
				got, _ := receive(t, a, len(toA))
				same(t, got, toA)
				got, _ = receive(t, b, len(toB))
				same(t, got, toB)
			}
		})
	}
}
