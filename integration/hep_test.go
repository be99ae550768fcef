//go:build integration

package integration

import (
	endian "encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
)

var bigEndian = endian.BigEndian

// A homer is a collector of HEP3 packets. It writes down each as "source>target"
// with the first line of the message.
type homer struct {
	t    *testing.T
	conn net.PacketConn
	mu   sync.Mutex
	seen []string
}

func (s *site) startHomer() *homer {
	s.t.Helper()
	conn, err := net.ListenPacket("udp4", s.ip(62)+":9060")
	if err != nil {
		s.t.Fatal(err)
	}
	h := &homer{t: s.t, conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.read()
	}()
	s.t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return h
}

func (h *homer) read() {
	b := make([]byte, 65536)
	for {
		n, _, err := h.conn.ReadFrom(b)
		if err != nil {
			return
		}
		m, err := hep3(b[:n])
		if err == nil && m.tcp {
			err = errors.New("not UDP")
		}
		if err != nil {
			h.t.Errorf("%v in %q", err, b[:n])
			continue
		}
		h.mu.Lock()
		h.seen = append(h.seen, m.from+">"+m.to+" "+m.line)
		h.mu.Unlock()
	}
}

// saw tells whether a message that begins so has been mirrored between two.
func (h *homer) saw(from, to, start string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.seen, func(s string) bool { return strings.HasPrefix(s, from+">"+to+" "+start) })
}

// mirrored is what a packet tells of a message: between whom it passed, and its
// first line.
type mirrored struct {
	from, to, line string
	tcp            bool
}

// hep3 reads a packet of IPv4 from capture ID 7.
func hep3(b []byte) (mirrored, error) {
	if len(b) < 6 || string(b[:4]) != "HEP3" || int(bigEndian.Uint16(b[4:])) != len(b) {
		return mirrored{}, fmt.Errorf("no HEP3 packet")
	}
	chunks := map[uint16][]byte{}
	for rest := b[6:]; len(rest) > 0; {
		if len(rest) < 6 {
			return mirrored{}, fmt.Errorf("half a chunk")
		}
		n := int(bigEndian.Uint16(rest[4:]))
		if n < 6 || n > len(rest) || rest[0] != 0 || rest[1] != 0 {
			return mirrored{}, fmt.Errorf("a chunk of %d octets", n)
		}
		chunks[bigEndian.Uint16(rest[2:])] = rest[6:n]
		rest = rest[n:]
	}
	tcp := string(chunks[2]) == "\x06"
	if string(chunks[1]) != "\x02" || !tcp && string(chunks[2]) != "\x11" || string(chunks[11]) != "\x01" || string(chunks[12]) != "\x00\x00\x00\x07" {
		return mirrored{}, fmt.Errorf("family % x, protocol % x, type % x, capture ID % x", chunks[1], chunks[2], chunks[11], chunks[12])
	}
	end := func(ip, port uint16) string {
		a, _ := netip.AddrFromSlice(chunks[ip])
		return netip.AddrPortFrom(a, bigEndian.Uint16(chunks[port])).String()
	}
	line, _, _ := strings.Cut(string(chunks[15]), "\r\n")
	return mirrored{end(3, 7), end(4, 8), line, tcp}, nil
}

// TestHEP: a subscription, as the collector sees it, on both sides of rewatch.
func TestHEP(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.startHomer()
	n := s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_HEP": h.conn.LocalAddr().String(), "REWATCH_HEP_ID": "7"})
	_, d := established(c, n, "alice", "bob")
	n.notify(d, patience)
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(d, patience)
	core, server := s.ip(20)+":5060", s.ip(40)+":5070"
	for _, m := range []struct{ from, to, start string }{
		{core, s.coreSide(), "SUBSCRIBE "},
		{s.serverSide(), server, "SUBSCRIBE "},
		{server, s.serverSide(), "SIP/2.0 200"},
		{s.coreSide(), core, "SIP/2.0 200"},
		{server, s.serverSide(), "NOTIFY "},
		{s.coreSide(), core, "NOTIFY "},
		{core, s.coreSide(), "SIP/2.0 200"},
		{s.serverSide(), server, "SIP/2.0 200"},
		{s.coreSide(), core, "MESSAGE "}, // rewatch's own
	} {
		eventually(t, patience, fmt.Sprint(m), func() bool { return h.saw(m.from, m.to, m.start) })
	}
	if lost := r.metric("rewatch_dropped_total", `reason="hep"`); lost != 0 {
		t.Errorf("%v were not mirrored", lost)
	}
}
