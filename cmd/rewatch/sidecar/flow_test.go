package sidecar

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"rewatch/cmd/rewatch/cli"
)

// element is a SIP element that answers every request, or says nothing, and keeps those
// that it got.
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
	answer := e.answer(method)
	if answer == "" { // it is silent
		e.got <- text
		return
	}
	out := "SIP/2.0 " + answer + "\r\n"
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
	s := runSidecar(t, core, server, cli.Environ{
		"REWATCH_ADMIN_LISTEN": "off", "REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "500ms", "REWATCH_HEADERS": "Feature-Caps: *;+g.x",
	})
	s.register()
	s.server.request(t, s.serverSide, s.subscribe("call-1")...)
	s.core.await(t, "NOTIFY")
	if message := s.core.await(t, "MESSAGE"); !strings.Contains(message, "Feature-Caps: *;+g.x") {
		t.Errorf("the MESSAGE is\n%s", message)
	}
}

// TestTheHopIsAsked: where a NOTIFY meets with silence and nobody else was tried, the core is
// asked by OPTIONS. Its answer proves the path, and the watcher gets a MESSAGE that counts.
func TestTheHopIsAsked(t *testing.T) {
	core := newElement(t, func(method string) string {
		return map[string]string{"NOTIFY": "", "OPTIONS": "405 Method Not Allowed"}[method]
	})
	s := runSidecar(t, core, newElement(t, func(string) string { return "200 OK" }), cli.Environ{"REWATCH_NOTIFY_TIMEOUT": "1s"})
	s.shows("/readyz", "server")
	s.register()
	s.server.request(t, s.serverSide, s.subscribe("call-1")...)
	s.core.await(t, "OPTIONS")
	if message := s.core.await(t, "MESSAGE"); !strings.Contains(message, "Attempt: 1 of 3") {
		t.Errorf("the MESSAGE is\n%s", message)
	}
}
