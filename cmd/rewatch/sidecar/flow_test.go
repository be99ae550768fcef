package sidecar

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
)

// element is a SIP element that answers every request, and keeps those that it got.
type element struct {
	*net.UDPConn
	answer func(method string) string
	got    chan string
}

func newElement(t *testing.T, answer func(method string) string) *element {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	e := &element{c, answer, make(chan string, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFromUDP(buf)
			if err != nil {
				return
			}
			e.take(string(buf[:n]), from)
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-done })
	return e
}

func (e *element) uri() string { return "sip:" + e.LocalAddr().String() }

// take answers a request with what a response has to repeat of it.
func (e *element) take(text string, from *net.UDPAddr) {
	method, _, _ := strings.Cut(text, " ")
	if method == "SIP/2.0" {
		return
	}
	out := "SIP/2.0 " + e.answer(method) + "\r\n"
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		switch name {
		case "to":
			if !strings.Contains(line, "tag=") {
				line += ";tag=here"
			}
			fallthrough
		case "via", "from", "call-id", "cseq", "record-route", "expires":
			out += line + "\r\n"
		}
	}
	out += "Contact: <" + e.uri() + ">\r\nContent-Length: 0\r\n\r\n"
	_, _ = e.WriteToUDP([]byte(out), from)
	e.got <- text
}

// request sends a request to an address.
func (e *element) request(t *testing.T, to string, lines ...string) {
	t.Helper()
	method, _, _ := strings.Cut(lines[0], " ")
	text := lines[0] + " SIP/2.0\r\nVia: SIP/2.0/UDP " + e.LocalAddr().String() + ";branch=z9hG4bK" + method + fmt.Sprint(time.Now().UnixNano()) +
		"\r\nMax-Forwards: 70\r\nContact: <" + e.uri() + ">\r\n" + strings.Join(lines[1:], "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
	addr, err := net.ResolveUDPAddr("udp4", to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.WriteToUDP([]byte(text), addr); err != nil {
		t.Fatal(err)
	}
}

// await waits for a request of a method.
func (e *element) await(t *testing.T, method string) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case text := <-e.got:
			if strings.HasPrefix(text, method+" ") {
				return text
			}
		case <-deadline:
			t.Fatalf("no %s came", method)
		}
	}
}

// TestFlow: a NOTIFY fails, and the watcher gets its MESSAGE with the header fields of the
// operator.
func TestFlow(t *testing.T) {
	server := newElement(t, func(string) string { return "200 OK" })
	core := newElement(t, func(method string) string {
		if method == "NOTIFY" {
			return "480 Temporarily Unavailable"
		}
		return "200 OK"
	})
	coreSide, serverSide := fmt.Sprint("127.0.0.1:", freePort(t)), fmt.Sprint("127.0.0.1:", freePort(t))
	cfg, err := config.Load(cli.Environ{
		"REWATCH_SERVER": server.uri() + ";transport=udp", "REWATCH_CORE": core.uri() + ";transport=udp",
		"REWATCH_LISTEN": "udp://" + coreSide, "REWATCH_SERVER_LISTEN": "udp://" + serverSide, "REWATCH_ADMIN_LISTEN": "off",
		"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "500ms", "REWATCH_COALESCE": "10ms", "REWATCH_DRAIN": "0s",
		"REWATCH_HEADERS": "Feature-Caps: *;+g.x",
	})
	if err != nil {
		t.Fatal(err)
	}
	out := &lines{more: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, Reload{}, out) }()
	out.await(t, "rewatch runs")

	const alice = "<sip:alice@ims.example>"
	core.request(t, coreSide, "REGISTER sip:"+coreSide, "From: <sip:scscf@ims.example>;tag=r", "To: "+alice, "Call-ID: reg", "CSeq: 1 REGISTER", "Expires: 600")
	server.await(t, "REGISTER")
	core.request(t, coreSide, "SUBSCRIBE sip:bob@ims.example", "From: "+alice+";tag=a", "To: <sip:bob@ims.example>", "Call-ID: sub", "CSeq: 1 SUBSCRIBE",
		"Event: presence", "Expires: 600", "P-Asserted-Identity: "+alice)
	subscribe := server.await(t, "SUBSCRIBE")
	notify := []string{
		"NOTIFY " + core.uri(), "From: <sip:bob@ims.example>;tag=here", "To: " + alice + ";tag=a", "Call-ID: sub", "CSeq: 1 NOTIFY",
		"Event: presence", "Subscription-State: active;expires=600",
	}
	for line := range strings.SplitSeq(subscribe, "\r\n") {
		if route, ok := strings.CutPrefix(line, "Record-Route:"); ok {
			notify = append(notify, "Route:"+route)
		}
	}
	server.request(t, serverSide, notify...)
	core.await(t, "NOTIFY")
	if message := core.await(t, "MESSAGE"); !strings.Contains(message, "Feature-Caps: *;+g.x") {
		t.Errorf("the MESSAGE is\n%s", message)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
