package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

const (
	alice = "sip:alice@ims.example"
	bob   = "sip:bob@ims.example"
)

func message(method, from, to, body string) []byte {
	return []byte(method + " sip:x SIP/2.0\r\nFrom: <" + from + ">;tag=1\r\nTo: <" + to + ">\r\nCall-ID: c\r\nCSeq: 1 " +
		strings.Fields(method)[0] + "\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body)
}

func response(method, from, to string) []byte {
	return []byte("SIP/2.0 200 OK\r\nFrom: <" + from + ">;tag=1\r\nTo: <" + to + ">\r\nCall-ID: c\r\nCSeq: 1 " + method + "\r\nContent-Length: 0\r\n\r\n")
}

var (
	core    = netip.MustParseAddrPort("10.0.0.7:5060")
	here    = netip.MustParseAddrPort("10.0.0.1:5060")
	sixCore = netip.MustParseAddrPort("[2001:db8::7]:5060")
	sixHere = netip.MustParseAddrPort("[2001:db8::1]:5061")
)

// TestOf: a user has the messages in which it is the watcher, whoever sent them, of the
// time that is asked for.
func TestOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(1 << 20)
		start := time.Now()
		for _, raw := range [][]byte{
			message("SUBSCRIBE", "sip:alice@IMS.example;x=y", bob, ""), response("SUBSCRIBE", alice, bob),
			message("NOTIFY", bob, alice, "open"), response("NOTIFY", bob, alice), message("NOTIFY", alice, bob, "to another"),
			message("MESSAGE", bob, alice, "lost"), message("REGISTER", bob, alice, ""),
			message("PUBLISH", bob, alice, ""), message("INVITE", bob, alice, ""), []byte("garbage"),
		} {
			r.Record("udp", core, here, raw)
			time.Sleep(time.Second)
		}
		r.Record("tcp", here, core, message("NOTIFY", bob, alice, "later"))
		found := r.Of(alice, start, start.Add(8*time.Second))
		if len(found) != 6 || string(found[2].Raw) != string(message("NOTIFY", bob, alice, "open")) || found[2].At != start.Add(2*time.Second) {
			t.Errorf("%d: %+v", len(found), found)
		}
		found = r.Of(alice, start.Add(8*time.Second), start.Add(time.Hour))
		if len(found) != 1 || found[0].Transport != "tcp" || found[0].From != here || found[0].To != core {
			t.Errorf("%+v", found)
		}
		if found = r.Of("sip:carol@ims.example", start, start.Add(time.Hour)); found != nil {
			t.Errorf("%+v", found)
		}
	})
}

// TestBounds: the oldest go, what is left is whole, and the memory does not grow.
func TestBounds(t *testing.T) {
	const size = 64 << 10
	r := New(size)
	var total int
	for i := range 2000 {
		raw := message("NOTIFY", bob, alice, strings.Repeat("x", i%700)+fmt.Sprint(i))
		r.Record("udp", core, here, raw)
		total += len(raw)
	}
	r.Record("udp", core, here, message("NOTIFY", bob, alice, strings.Repeat("x", size/2))) // has no room
	found := r.Of(alice, time.Time{}, time.Now())
	kept := 0
	for i, m := range found {
		if want := fmt.Sprint(2000 - len(found) + i); !strings.HasSuffix(string(m.Raw), want) {
			t.Fatalf("%d of %d: %q", i, len(found), m.Raw)
		}
		kept += len(m.Raw)
	}
	if kept < size/4 || kept > size-size/4 || total < 10*size {
		t.Errorf("%d messages, %d bytes, of %d", len(found), kept, total)
	}
	if c := cap(r.entries.list); c*perEntry/2 > size/2 {
		t.Errorf("room for %d entries", c)
	}
	large, sum := New(16<<20), 0
	for range 10_000 {
		large.Record("udp", core, here, message("NOTIFY", bob, alice, strings.Repeat("x", 1000)))
	}
	for _, m := range large.Of(alice, time.Time{}, time.Now()) {
		sum += len(m.Raw)
	}
	if sum > MaxBytes || sum < MaxBytes*9/10 {
		t.Errorf("%d bytes of one user", sum)
	}
	small := New(4096)
	for range 100 {
		small.Record("udp", core, here, message("NOTIFY", bob, alice, ""))
	}
	if n := len(small.Of(alice, time.Time{}, time.Now())); n < 1 || n > small.most {
		t.Errorf("%d of at most %d", n, small.most)
	}
}

func TestConcurrent(t *testing.T) {
	r := New(64 << 10)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				r.Record("udp", here, core, message("NOTIFY", bob, alice, "x"))
				for _, m := range r.Of(alice, time.Time{}, time.Now()) {
					if !bytes.HasPrefix(m.Raw, []byte("NOTIFY")) {
						t.Error("torn")
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestWritePcap has a capture library read what was written: addresses, ports, checksums,
// bytes and times.
func TestWritePcap(t *testing.T) {
	at := time.Date(2026, time.March, 1, 12, 0, 0, 123456000, time.UTC)
	messages := []Message{
		{at, "udp", core, here, message("NOTIFY", bob, alice, "open")},
		{at.Add(time.Millisecond), "tls", sixHere, sixCore, message("MESSAGE", bob, alice, "odd")},
		{at.Add(time.Second), "udp", netip.MustParseAddrPort("[::ffff:10.0.0.7]:5060"), here, response("NOTIFY", bob, alice)},
		{at.Add(time.Minute), "tcp", sixCore, here, bytes.Repeat([]byte("x"), 100_000)},
		{at.Add(time.Hour), "udp", netip.AddrPort{}, here, []byte("y")},
	}
	var file bytes.Buffer
	if err := WritePcap(&file, messages); err != nil {
		t.Fatal(err)
	}
	reader, err := pcapgo.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range messages {
		data, info, err := reader.ReadPacketData()
		if err != nil {
			t.Fatal(i, err)
		}
		packet := gopacket.NewPacket(data, reader.LinkType(), gopacket.Default)
		if e := packet.ErrorLayer(); e != nil {
			t.Fatal(i, e.Error())
		}
		datagram, _ := packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
		raw := m.Raw[:min(len(m.Raw), mostBytes)]
		if !info.Timestamp.Equal(m.At) || !bytes.Equal(datagram.Payload, raw) || uint16(datagram.SrcPort) != m.From.Port() || uint16(datagram.DstPort) != m.To.Port() {
			t.Errorf("%d: %v, %v", i, info, datagram)
		}
		_ = datagram.SetNetworkLayerForChecksum(packet.NetworkLayer())
		if err, ok := packet.VerifyChecksums(); err != nil || len(ok) != 0 {
			t.Errorf("%d: checksums: %v, %v", i, err, ok)
		}
		if flow := packet.NetworkLayer().NetworkFlow(); i < 3 && flow.String() != m.From.Addr().Unmap().String()+"->"+m.To.Addr().Unmap().String() {
			t.Errorf("%d: %s", i, flow)
		}
	}
	if _, _, err := reader.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWritePcapTellsOfErrors(t *testing.T) {
	if err := WritePcap(full{}, []Message{{time.Now(), "udp", core, here, []byte("x")}}); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

func BenchmarkRecorder(b *testing.B) {
	r, raw := New(64<<20), message("NOTIFY", bob, alice, strings.Repeat("x", 600))
	b.ReportAllocs()
	for b.Loop() {
		r.Record("udp", core, here, raw)
	}
}
