package demo

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rewatch/integration/peers"
)

var (
	phoneAddr  = netip.MustParseAddrPort("127.0.0.1:1")
	coreAddr   = netip.MustParseAddrPort("127.0.0.1:2")
	coreSide   = netip.MustParseAddrPort("127.0.0.1:3")
	serverSide = netip.MustParseAddrPort("127.0.0.1:4")
	serverAddr = netip.MustParseAddrPort("127.0.0.1:5")
)

// drawn feeds hops to a flow and returns what it draws below the names, without
// the times.
func drawn(t *testing.T, s *script, hops ...peers.Passed) []string {
	t.Helper()
	var out bytes.Buffer
	f := newFlow(newLadder(&out, 80, false), false)
	f.place(phoneAddr, lanePhone)
	f.place(coreAddr, laneCore)
	f.place(serverAddr, laneServer)
	f.chapter("", "alice", s)
	for _, p := range hops {
		p.At = time.Now()
		f.trace(p)
	}
	f.close()
	var lines []string
	for _, text := range strings.Split(strings.TrimRight(out.String(), "\n"), "\n")[5:] {
		r := []rune(text)
		lines = append(lines, string(r[8:]))
	}
	return lines
}

func hopOf(peer string, from, to netip.AddrPort, method string, status int) peers.Passed {
	return peers.Passed{
		Peer: peer, From: from, To: to, Method: method, Status: status, CallID: "1", CSeq: 1,
		Sent: peer == "core" && from == coreAddr || peer == "server" && from == serverAddr,
	}
}

func TestFlow(t *testing.T) {
	in := hopOf("core", coreAddr, coreSide, "SUBSCRIBE", 0)
	through := hopOf("server", serverSide, serverAddr, "SUBSCRIBE", 0)
	lost := hopOf("core", phoneAddr, coreAddr, "NOTIFY", 200)
	lost.Lost = true
	again := hopOf("server", serverAddr, serverSide, "NOTIFY", 0)
	again.Repeat = true
	gone := hopOf("server", serverSide, serverAddr, "NOTIFY", 481)
	gone.StartLine = "SIP/2.0 481 Subscription Does Not Exist"
	tests := []struct {
		name   string
		script *script
		hops   []peers.Passed
		want   []string
	}{
		{"passed on", referenceFlow(), []peers.Passed{in, through}, []string{
			"  4  │                   │──── SUBSCRIBE ────╂──────────────────▶│",
		}},
		{"not passed on", referenceFlow(), []peers.Passed{in}, []string{
			"     │                   │──── SUBSCRIBE ───▶┃                   │",
		}},
		{"seen twice", referenceFlow(), []peers.Passed{
			hopOf("alice", phoneAddr, coreAddr, "REGISTER", 0), hopOf("core", phoneAddr, coreAddr, "REGISTER", 0),
		}, []string{
			"  1  │──── REGISTER ────▶│                   ┃                   │",
		}},
		{"short", nil, []peers.Passed{hopOf("core", phoneAddr, coreAddr, "SUBSCRIBE", 0), in, through}, []string{
			"     │──── SUBSCRIBE ────┼───────────────────╂──────────────────▶│",
		}},
		{"lost", referenceFlow(), []peers.Passed{lost}, []string{
			"  8  │╌╌╌ 200 NOTIFY ╌✗  │                   ┃                   │",
		}},
		{"of rewatch's own", referenceFlow(), []peers.Passed{again, gone}, []string{
			"     │                   │                   ┃◀─ NOTIFY again ───│",
			"     │                   │                   ┃╌╌╌ 481 NOTIFY ╌╌╌▶│",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := drawn(t, tt.script, tt.hops...)
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestScript walks the reference flow: every step is numbered once, and a second
// NOTIFY is not the first.
func TestScript(t *testing.T) {
	s := referenceFlow()
	for i := range s.steps {
		step := s.steps[i]
		p := peers.Passed{Method: step.method}
		if step.response {
			p.Status = 200
		}
		a := arrow{to: step.to, response: step.response, lost: step.lost}
		if no := s.number(a, p); no != step.no {
			t.Fatalf("message %d is step %d, want %d", i, no, step.no)
		}
	}
	if s.seen() != referenceSteps {
		t.Errorf("%d steps seen", s.seen())
	}
	if no := s.number(arrow{to: laneCore}, peers.Passed{Method: "MESSAGE"}); no != 0 {
		t.Errorf("a second MESSAGE is step %d", no)
	}
}
