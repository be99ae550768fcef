package transport_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"rewatch/cmd/rewatch/budget/budgettest"
	"rewatch/proxy/transport"
)

// However its peers read and write, a set takes no more memory than is stated: those that
// read nothing; that have much queued, read it, and leave a little unread; that take what is
// queued in one piece and have as much queued again; and that leave long messages half sent.
func TestMemoryIsBounded(t *testing.T) {
	const half = 400
	cfg := transport.StreamConfig{
		MaxStreams: half, MaxQueued: 8 << 20, MaxPartial: 8 << 20, IdleTimeout: time.Hour, WriteTimeout: time.Hour, MessageTimeout: time.Hour,
	}
	stated := transport.Budget(cfg, false)
	full := []byte(message(1000))
	drain := func(c net.Conn, n int) { _, _ = io.ReadFull(c, make([]byte, n)) }
	for name, fill := range map[string]func(write func() bool, c net.Conn){
		"reads nothing": func(write func() bool, _ net.Conn) {
			for write() {
			}
		},
		"leaves a little unread": func(write func() bool, c net.Conn) {
			n := 0
			for ; write(); n++ {
			}
			drain(c, n*len(full))
			write()
		},
		"takes it and has more": func(write func() bool, c net.Conn) {
			for write() {
			}
			drain(c, len(full)+1)
			for write() {
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, cfg, func(s *stage) {
				peers := make([]net.Conn, 0, 2*half)
				before := budgettest.Heap()
				each := func(st *transport.Stream, c net.Conn) {
					peers = append(peers, c)
					fill(func() bool {
						err := st.Write(full)
						wait(0)
						return err == nil
					}, c)
					n := 15_000 // all may have that much of a message
					if len(peers) < half/8 {
						n = 60_000
					}
					go func() { _, _ = c.Write([]byte(message(200_000)[:n])) }()
					wait(0)
				}
				for i := range half {
					c := s.from("10.0.0.2")
					write(c, message(100))
					each(s.last, c)
					l := s.net.Listen(fmt.Sprint("10.0.1.9:", 1000+i))
					st := s.set.To(netip.MustParseAddrPort(l.Addr().String()), false, "")
					c, err := l.Accept()
					if err != nil {
						t.Fatal(err)
					}
					_ = l.Close()
					each(st, c)
				}
				grown, load := budgettest.Heap()-before, s.set.Load()
				t.Logf("%d MB of %d, counted %d, %d streams, %+v", grown>>20, stated>>20, s.set.Usage()>>20, s.set.Len(), load)
				if grown > stated {
					t.Errorf("%d bytes are taken, %d are stated", grown, stated)
				}
				if used := s.set.Usage(); grown > used+16<<20 { // what is spare
					t.Errorf("%d bytes are taken, %d are counted", grown, used)
				}
				little := name == "leaves a little unread"
				if s.set.Len() != 2*half || !little && load.Queued < int64(cfg.MaxQueued)/2 || load.Partial < int64(cfg.MaxPartial)/2 {
					t.Error("it is not full")
				}
				runtime.KeepAlive(peers)
			})
		})
	}
}
