//go:build integration

package integration

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// hoarder fills each table that grows with what others send, as fast as it can: requests that
// nobody answers, connections with half a message, answers that are not read, subscriptions with
// the longest names, and lists of the API. rewatch keeps to the memory that it may have, and who
// is known is served.
type hoarder struct {
	senders, halves []net.Conn
	n               int
}

// allowed is what rewatch may have. It is less than its fixed parts, so that the tables that grow
// with the users share the least that they ever have.
const allowed = 256 << 20

func (*hoarder) settings(s *site) env {
	return env{
		"GOMEMLIMIT": strconv.Itoa(allowed), "REWATCH_SERVER": "sip:" + s.ip(40) + ":5070;transport=tcp",
	}
}

func (h *hoarder) attack(b *bystanders, round int) {
	if round == 0 {
		b.n.isDeaf(func(raw []byte) bool { return strings.HasPrefix(string(raw[:min(len(raw), 40)]), "MESSAGE sip:hoard@") })
		for range 8 {
			h.senders = append(h.senders, h.connect(b, "5060"))
		}
	}
	h.halfMessages(b)
	long := strings.Repeat("x", 400)
	for i, conn := range h.senders {
		var texts []string
		for range 60 {
			h.n++
			texts = append(texts, h.request("MESSAGE", "hoard", fmt.Sprint("m", h.n), strings.Repeat("y", 48_000), "Max-Forwards: 70"))
		}
		for range 30 {
			h.n++
			texts = append(texts, h.request("SUBSCRIBE", "bob", fmt.Sprint("s", h.n, "-", long), "", "Max-Forwards: 70", "Event: presence", "Expires: 600",
				"Contact: <sip:mallory@"+b.c.addr+">", "P-Asserted-Identity: <sip:m"+fmt.Sprint(h.n, long)+"@ims.example>"),
				h.request("MESSAGE", "bob", fmt.Sprint("r", h.n), "", "Max-Forwards: 0", "Via: SIP/2.0/TCP "+long)) // a 483 as long
		}
		if !h.write(conn, texts...) { // what comes after half a message is none
			_ = conn.Close()
			h.senders[i] = h.connect(b, "5060")
		}
	}
	for range 4 {
		conn := h.connect(b, "9090")
		h.write(conn, strings.Repeat("GET /api/v1/subscriptions?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n", 50))
	}
	if rss, peak := b.r.memory(); !raceEnabled && peak > allowed {
		b.Fatalf("round %d: %d MiB are taken, %d at the most, of %d", round, rss>>20, peak>>20, allowed>>20)
	}
}

func (h *hoarder) halfMessages(b *bystanders) {
	for range 40 {
		if len(h.halves) == 400 {
			_ = h.halves[0].Close()
			h.halves = h.halves[1:]
		}
		conn := h.connect(b, "5060")
		h.halves = append(h.halves, conn)
		h.n++
		half := h.request("MESSAGE", "hoard", fmt.Sprint("h", h.n), strings.Repeat("z", 200_000), "Max-Forwards: 70")
		h.write(conn, half[:120_000])
	}
}

func (h *hoarder) request(method, user, callID, body string, lines ...string) string {
	return fmt.Sprintf("%s sip:%s@ims.example SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKhoard%d\r\nFrom: <sip:mallory@ims.example>;tag=m\r\n"+
		"To: <sip:%[2]s@ims.example>\r\nCall-ID: %[4]s\r\nCSeq: 1 %[1]s\r\n%[5]s\r\nContent-Length: %[6]d\r\n\r\n%[7]s",
		method, user, h.n, callID, strings.Join(lines, "\r\n"), len(body), body)
}

func (h *hoarder) connect(b *bystanders, port string) net.Conn {
	b.Helper()
	conn, err := net.DialTimeout("tcp", b.s.ip(30)+":"+port, patience)
	if err != nil {
		b.Fatal(err)
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(2048)
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}

// write gives up where rewatch reads no more.
func (*hoarder) write(conn net.Conn, texts ...string) bool {
	for _, text := range texts {
		_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := conn.Write([]byte(text)); err != nil {
			return false
		}
	}
	return true
}

// memory is what the process has of the machine now, and has had at the most.
func (r *rewatch) memory() (rss, peak int64) {
	r.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	kilobytes := func(name string) int64 {
		n, _ := strconv.ParseInt(strings.Fields(lineOf(string(status), name))[0], 10, 64)
		return n << 10
	}
	return kilobytes("VmRSS:"), kilobytes("VmHWM:")
}

func (h *hoarder) judge(b *bystanders) {
	for _, bound := range []string{"overload", "stream"} {
		eventually(b.T, patient, "a bound is reached: "+bound, func() bool {
			if b.r.metric("rewatch_refused_total", `reason="`+bound) > 0 {
				return true
			}
			h.attack(b, 1)
			return false
		})
	}
	rss, peak := b.r.memory()
	b.Logf("%d MiB are taken, %d at the most, of %d; %d messages", rss>>20, peak>>20, allowed>>20, h.n)
	for _, conn := range append(h.senders, h.halves...) {
		_ = conn.Close()
	}
	eventually(b.T, patient, "there is room again", func() bool {
		before := b.r.metric("rewatch_stateless_total")
		b.served("afterwards", 0)
		return b.r.metric("rewatch_stateless_total") == before
	})
}
