package proxy

import (
	"bytes"
	"cmp"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	dialogsmonitor "rewatch/dialogs/monitor"
	"rewatch/policy"
	"rewatch/policy/outage"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transport/transporttest"
	"rewatch/proxy/wire"
)

// FuzzPath lets anything come in, by a datagram or by a connection, on either side.
// Nothing panics. What leaves is what came in but for the edits of a proxy, or an
// answer to it. There are never more records than there may be, and none is left
// when time has passed.
func FuzzPath(f *testing.F) {
	seedPath(f)
	f.Fuzz(func(t *testing.T, raw []byte, fromCore, stream bool) {
		var left leaving
		play(t, func(r *rig) {
			r.tap(&left)
			from, to := serverAddr, serverSide
			if fromCore {
				from, to = coreAddr, coreSide
			}
			if stream {
				r.pour(from, to, raw)
			} else {
				p := r.core
				if !fromCore {
					p = r.server
				}
				_, _ = p.conn.WriteTo(raw, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
			}
			synctest.Wait()
			if n := r.s.table.Len(); n > few {
				r.Fatalf("%d records", n)
			}
			r.pass(4 * time.Minute)
			left.gather()
			for i, out := range left.sent { // some of it may have come to ourselves
				r.explained(out, slices.Concat(came(raw, stream), left.sent[:i])...)
			}
			if n := r.s.table.Len() + r.s.parking.len(); n != 0 {
				r.Fatalf("%d requests are remembered for ever", n)
			}
		}, func(c *Config) {
			c.MaxTransactions, c.Resolver, c.KeepHeads = few, &someNames{}, true
			c.Monitor = dialogsmonitor.New(dialogsmonitor.NewTable(dialogsmonitor.Config{MaxSubscriptions: few, SignalNotify: true}, nil), keen{}, zerolog.Nop(), nil)
		}, left.refused)
	})
}

// someNames finds every other name, after a while.
type someNames struct{ known sync.Map }

func (n *someNames) Lookup(t resolve.Target) ([]resolve.Hop, bool) {
	_, ok := n.known.Load(t.Host)
	if !ok || len(t.Host)%2 == 1 {
		return nil, ok
	}
	return []resolve.Hop{{Transport: wire.UDP, Addr: netip.MustParseAddrPort("10.0.0.7:5060")}}, true
}

func (n *someNames) Await(t resolve.Target, _ uint64, done func([]resolve.Hop, error)) {
	time.AfterFunc(time.Duration(len(t.Host))*time.Millisecond, func() {
		n.known.Store(t.Host, true)
		if hops, _ := n.Lookup(t); hops != nil {
			done(hops, nil)
		} else {
			done(nil, errors.New("no such name"))
		}
	})
}

// keen is a Recovery that wants to hear of everything.
type keen struct{}

func (keen) Offer(string, policy.Event)                      {}
func (keen) Returned(string, policy.By)                      {}
func (keen) Failed(dialogs.Failure)                          {}
func (keen) Passed(time.Time, netip.AddrPort, outage.Passes) {}
func (keen) Heard(time.Time, netip.AddrPort, outage.Passes)  {}
func (keen) Interested(string) bool                          { return true }
func (keen) Banned(string, time.Time) bool                   { return false }
func (keen) Known(string) bool                               { return true }
func (keen) Trace(string, dialogs.Step)                      {}

// few records are enough for what one datagram brings.
const few = 4

func seedPath(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("wire/testdata/torture/*/*.dat")
	if err != nil || len(files) < 40 {
		f.Fatal("no torture messages: ", err)
	}
	for i, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, i%2 == 0, i%3 == 0)
	}
	subscribe := request("SUBSCRIBE", "sip:bob@ims.example", viaCore, "Event: presence", "Contact: <sip:alice@10.0.0.9>", "Expires: 600")
	for _, msg := range []string{
		notify(), notify("Record-Route: <sip:10.9.9.9;lr>", "Subscription-State: active;expires=9"), subscribe,
		request("INVITE", "sip:bob@10.0.0.9", "SIP/2.0/TCP 10.0.0.2;rport;branch=z9hG4bK1, SIP/2.0/UDP h;branch=z9hG4bK2"),
		request("REGISTER", "sip:ims.example", viaCore) + "\n" + request("ACK", "sip:x@y", viaCore),
		request("BYE", "sip:10.0.0.1;lr", viaCore, "Route: <sip:10.0.0.7>, <sip:bob@10.0.0.9>"),
		strings.Replace(request("MESSAGE", "sip:bob@ims.example", viaServer, "Route: <sip:10.0.0.7>"), "Max-Forwards: 70\n", "", 1),
		reply(crlf(notify()), "200 OK"),
	} {
		f.Add([]byte(crlf(msg)), true, false)
		f.Add([]byte(crlf(msg)), false, false)
		f.Add([]byte(crlf(msg)+crlf(msg)), false, true)
	}
}

// leaving is what we send, whoever it is for.
type leaving struct {
	mu    sync.Mutex
	sent  [][]byte
	conns []*connection
}

func (l *leaving) note(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, bytes.Clone(b))
}

// refused is the option that takes down datagrams for which nobody is there.
func (l *leaving) refused(c *Config) {
	for _, to := range c.Listeners {
		if p, ok := to.Packet.(*transporttest.PacketConn); ok {
			tell := p.OnRefused
			p.OnRefused = func(to netip.AddrPort, payload []byte) { l.note(payload); tell(to, payload) }
		}
	}
}

// tap takes down the others, and what goes over connections that we open.
func (r *rig) tap(l *leaving) {
	r.net.SetRule(func(d transporttest.Datagram) []time.Duration {
		if from := d.From.String(); from == coreSide || from == serverSide {
			l.note(d.Bytes)
		}
		return []time.Duration{0}
	})
	for _, addr := range []string{coreAddr, serverAddr} {
		listener := r.net.Listen(addr)
		r.closers(listener)
		go func() {
			for c, err := listener.Accept(); err == nil; c, err = listener.Accept() {
				l.mu.Lock()
				l.conns = append(l.conns, r.connection(c))
				l.mu.Unlock()
			}
		}()
	}
}

// gather takes down what has come over connections.
func (l *leaving) gather() {
	for _, c := range l.conns {
		for msg := c.poll(); msg != ""; msg = c.poll() {
			l.note([]byte(msg))
		}
	}
}

// pour writes bytes into a connection, in two parts, for as long as we take them.
func (r *rig) pour(from, to string, raw []byte) {
	x := r.dial(netip.MustParseAddrPort(from).Addr().String(), to)
	defer func() { _ = x.conn.Close() }()
	_ = x.conn.SetWriteDeadline(time.Now().Add(time.Second))
	half := len(raw) / 2
	if _, err := x.conn.Write(raw[:half]); err == nil {
		_, _ = x.conn.Write(raw[half:])
	}
	synctest.Wait()
	for msg := x.poll(); msg != ""; msg = x.poll() {
		r.explained([]byte(msg), came(raw, true)...)
	}
}

// explained fails unless something that left follows from what came in: it is an
// answer of ours, a probe of ours, or one of the messages with a proxy's edits.
func (r *rig) explained(out []byte, messages ...[]byte) {
	r.Helper()
	var left wire.Message
	if err := wire.Scan(out, &left); err != nil {
		r.Fatalf("no message leaves: %v\n%q", err, out)
	}
	if left.Request && string(left.Method) == "OPTIONS" && bytes.Contains(out, []byte("-rewatch-ua-")) {
		return
	}
	var why string
	for _, msg := range messages {
		var came wire.Message
		_ = wire.Scan(msg, &came) // what is half a message is answered all the same
		not := edited(&came, &left)
		if not == "" {
			return
		}
		why = cmp.Or(why, not)
	}
	r.Fatalf("%s: of\n%q\nleft\n%q", why, messages, out)
}

// came are the messages in what came in. Of a stream the half may have been judged
// before the whole was there.
func came(raw []byte, stream bool) [][]byte {
	if !stream {
		return [][]byte{bytes.TrimLeft(raw, "\r\n")}
	}
	return slices.Concat(cut(raw), cut(raw[:len(raw)/2]))
}

// cut cuts a stream into messages.
func cut(raw []byte) (all [][]byte) {
	for len(raw) > 0 {
		skip, n, err := wire.FrameFrom(raw, 0)
		if err != nil || n == 0 || skip+n > len(raw) {
			return append(all, raw[min(skip, len(raw)):])
		}
		all, raw = append(all, raw[skip:skip+n]), raw[skip+n:]
	}
	return all
}
