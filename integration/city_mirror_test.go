//go:build integration

package integration

import (
	"net"
	"net/netip"
	"strings"
	"sync"
)

// A mirror counts the requests that rewatch sends to the core, its own or those
// that it forwards, as HEP tells of them.
type mirror struct {
	addr string
	mu   sync.Mutex
	seen map[string]int
}

func (s *site) startMirror() *mirror {
	s.t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s.ip(62)+":9060")))
	if err != nil {
		s.t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	m := &mirror{addr: conn.LocalAddr().String(), seen: make(map[string]int)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 65536)
		for {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if h, err := hep3(b[:n]); err == nil && strings.HasPrefix(h.to, s.ip(20)+":") {
				method, _, _ := strings.Cut(h.line, " ")
				m.mu.Lock()
				m.seen[method]++
				m.mu.Unlock()
			}
		}
	}()
	s.t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return m
}

func (m *mirror) count(method string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[method]
}

// requests counts those of all methods.
func (m *mirror) requests() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for method, times := range m.seen {
		if !strings.HasPrefix(method, "SIP/") {
			n += times
		}
	}
	return n
}
