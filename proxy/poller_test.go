//go:build linux

package proxy

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/socket"
)

// TestPoller has a Server read its sockets by a poller: NOTIFYs come often and are
// answered, and meanwhile one gets its end that nobody answers, so the wheels are
// turned by whoever reads, too.
func TestPoller(t *testing.T) {
	listen := func() net.PacketConn {
		var lc net.ListenConfig
		c, err := lc.ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	core, server, coreListener, serverListener := listen(), listen(), listen(), listen()
	defer func() { _, _ = core.Close(), server.Close() }()
	held := make(chan bool, 1000)
	ended := make(chan dialogs.Outcome, 10)
	m := &monitor{verdict: func(o dialogs.Outcome) dialogs.Verdict {
		if o.Kind == dialogs.TimedOut {
			ended <- o
		}
		return dialogs.Verdict{Relay: true}
	}}
	s, err := New(Config{
		Listeners: []socket.Listener{
			{Side: dialogs.Core, Network: "udp", Packet: coreListener},
			{Side: dialogs.Server, Network: "udp", Packet: serverListener},
		},
		Server: "sip:" + server.LocalAddr().String(), Core: []string{"sip:" + core.LocalAddr().String()},
		Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Monitor: m, Resolver: &resolver{}, NotifyTimeout: 300 * time.Millisecond, MaxTransactions: 1000,
		Poller: func(h bool) { held <- h },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.Shutdown()

	notify := bytes.ReplaceAll([]byte(crlf(realNotify())), []byte(serverAddr), []byte(server.LocalAddr().String()))
	notify = bytes.ReplaceAll(notify, []byte(serverSide), []byte(serverListener.LocalAddr().String()))
	notify = bytes.ReplaceAll(notify, []byte(coreSide), []byte(coreListener.LocalAddr().String()))
	notify = bytes.ReplaceAll(notify, []byte(coreAddr), []byte(core.LocalAddr().String()))
	branch := bytes.Index(notify, cookie) + len(cookie)
	b := make([]byte, 65536)
	n := uint64(0)
	send := func() []byte {
		n++
		count(notify[branch:branch+16], n)
		if _, err := server.WriteTo(notify, serverListener.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		_ = core.SetReadDeadline(time.Now().Add(10 * time.Second))
		length, _, err := core.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		return b[:length]
	}
	rally := func() {
		got := send()
		if _, err := core.WriteTo([]byte(crlf(reply(string(got), "200 OK"))), coreListener.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		_ = server.SetReadDeadline(time.Now().Add(10 * time.Second))
		length, _, err := server.ReadFrom(b)
		if err != nil || !bytes.HasPrefix(b[:length], []byte("SIP/2.0 200")) {
			t.Fatalf("%v %s", err, b[:length])
		}
	}
	for kept := false; !kept; {
		rally()
		select {
		case kept = <-held:
		default:
		}
	}
	send() // nobody answers it
	for end := false; !end; {
		rally()
		select {
		case <-ended:
			end = true
		default:
		}
	}
	for kept := true; kept; { // nothing comes any more
		select {
		case kept = <-held:
		case <-time.After(10 * time.Second):
			t.Fatal("the processor is kept")
		}
	}
	send()
	select { // the wheels are turned as ever
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("no end")
	}
}
