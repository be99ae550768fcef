package proxy

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	dialogsmonitor "rewatch/dialogs/monitor"
	"rewatch/policy"
	"rewatch/proxy/wire"
)

// bystanders writes down what becomes of anybody but mallory.
type bystanders struct {
	keen

	mu   sync.Mutex
	told []string
}

func (o *bystanders) note(user string, what any) {
	if user == "sip:mallory@ims.example" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, fmt.Sprintf("%s: %v", user, what))
}

// Offer implements dialogs.Recovery. What tells well of a user harms nobody.
func (o *bystanders) Offer(user string, e policy.Event) {
	switch e.Kind { //nolint:exhaustive // the others are of what went wrong
	case policy.NotifyOK, policy.LateOK, policy.Subscribed, policy.Registered:
	default:
		o.note(user, e.Kind)
	}
}

func (o *bystanders) Failed(f dialogs.Failure) { o.note(f.AOR, "failed at "+f.Event.Sub.Contact) }

// ofMallory is what the core passes on of a request that mallory wrote, or of its answer to
// a NOTIFY; false: the core cannot pass it on. The core puts its Via on top, and who mallory
// is in the place of what that claims.
func ofMallory(start, method, fields string) (string, bool) {
	var b strings.Builder
	b.WriteString(start)
	for _, l := range []string{"From: <sip:mallory@ims.example>;tag=a", "To: <sip:bob@ims.example>", "Call-ID: x", "CSeq: 7 " + method} {
		if name, _, _ := strings.Cut(l, ":"); !strings.Contains("\n"+fields, "\n"+name+":") {
			b.WriteString(l + "\r\n")
		}
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(fields, "\r", ""), "\n") {
		name, _, ok := strings.Cut(line, ":")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "", "p-asserted-identity", "content-length", "l", "max-forwards":
		default:
			if ok && !strings.ContainsAny(line[:1], " \t") {
				b.WriteString(line + "\r\n")
			}
		}
	}
	b.WriteString("P-Asserted-Identity: <sip:mallory@ims.example>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")
	return b.String(), b.Len() < 60_000
}

// hostileStage is alice, an honest watcher, behind the same core as mallory.
type hostileStage struct {
	*rig

	toCore *connection
	cseq   int
}

// notifies has the server send alice a NOTIFY. Alice's phone answers it, and that, or what
// becomes of it, arrives.
func (s *hostileStage) notifies(answer, arrives string) {
	s.Helper()
	s.cseq++
	n := strings.Replace(notify("Event: presence", "Subscription-State: active;expires=3000", "Contact: <sip:"+serverAddr+">"), "server1", fmt.Sprint("alice", s.cseq), 1)
	n = strings.NewReplacer("<sip:bob@ims.example>;tag=watcher", "<sip:alice@ims.example>;tag=a", "<sip:alice@ims.example>;tag=a", "<sip:bob@ims.example>;tag=uas", "CSeq: 1 ", fmt.Sprintf("CSeq: %d ", s.cseq), "Call-ID: c1", "Call-ID: of-alice").Replace(n)
	s.server.send(serverSide, n)
	s.core.send(coreSide, reply(s.until(s.core, "NOTIFY"), answer))
	s.until(s.server, "SIP/2.0 "+arrives)
}

// until gives the next message that begins so and is of alice's dialog.
func (s *hostileStage) until(p *peer, start string) string {
	s.Helper()
	for {
		got := p.poll()
		if got == "" {
			s.Fatalf("alice: no %s", start)
		}
		if strings.HasPrefix(got, start) && strings.Contains(got, "\r\nCall-ID: of-alice\r\n") {
			return got
		}
	}
}

// subscribes has alice subscribe, and mallory as well.
func (s *hostileStage) subscribes(user string) {
	s.Helper()
	m := request("SUBSCRIBE", "sip:bob@ims.example", strings.Replace(viaCore, "core1", user, 1), "Event: presence", "Expires: 3000",
		"From: <sip:"+user+"@ims.example>;tag=a", "Call-ID: of-"+user, "Contact: <sip:"+user+"@10.0.0.9>", "P-Asserted-Identity: <sip:"+user+"@ims.example>")
	s.core.send(coreSide, m)
	s.server.send(serverSide, reply(s.server.want("SUBSCRIBE"), "200 OK", "Expires: 3000", "Contact: <sip:"+serverAddr+">"))
	s.core.want("SIP/2.0 200")
}

// stands fails unless the connection of the core is answered.
func (s *hostileStage) stands(branch string) {
	s.Helper()
	s.toCore.send(request("OPTIONS", "sip:bob@ims.example", "SIP/2.0/TCP "+coreAddr+";branch=z9hG4bK"+branch, "Max-Forwards: 0"))
	for got := ""; !strings.HasPrefix(got, "SIP/2.0 483"); {
		if got = s.toCore.poll(); got == "" {
			s.Fatal("the connection of the core is closed")
		}
	}
}

// FuzzHostile has one phone write what it wants, as a request or as the answer to a NOTIFY,
// by datagram or by the connection of the core that all share. For the others all is as
// without it: nothing is held against them, their NOTIFYs end well, the hops and the server
// are sound, and the connection stands.
func FuzzHostile(f *testing.F) {
	routes := strings.Repeat("Route: <sip:"+coreSide+";lr>\nX: y\n", 30)
	const ofAlice = "\nCall-ID: of-alice\nEvent: presence\nContact: <sip:mallory@10.0.0.6>\n"
	long := strings.Repeat("x", 8000)
	for _, fields := range []string{
		"", routes, "Content-Length: 5\nContent-Length: 7",
		"To: <sip:bob@ims.example>;tag=b\nRoute: <sip:10.1.0.66:6379;lr>", "Via: SIP/2.0/UDP " + strings.Repeat("x,", 500), "Contact: <sip:alice@10.0.0.9>;expires=0",
		"Record-Route: <sip:" + serverAddr + ";transport=tls;lr>", "Record-Route: <sip:" + coreSide + ";lr;rw>\nEvent: presence\nExpires: 600",
		// in the dialog of another, by the name of the other and by its own
		"From: <sip:alice@ims.example>;tag=a\nTo: <sip:bob@ims.example>;tag=uas\nCSeq: 9 SUBSCRIBE\nExpires: 0" + ofAlice,
		"From: <sip:mallory@ims.example>;tag=a\nTo: <sip:bob@ims.example>;tag=uas\nCSeq: 1 SUBSCRIBE\nExpires: 0" + ofAlice,
		"From: <sip:mallory@ims.example>;tag=a\nTo: <sip:bob@ims.example>;tag=uas\nCSeq: 9 SUBSCRIBE\nExpires: 600" + ofAlice,
		"From: <sip:alice@ims.example>;tag=a\nTo: <sip:bob@ims.example>\nCSeq: 1 SUBSCRIBE\nExpires: 0" + ofAlice,
		"From: <sip:bob@ims.example>;tag=uas\nTo: <sip:alice@ims.example>;tag=a\nCSeq: 9 NOTIFY\nSubscription-State: terminated" + ofAlice,
		// of the registration and the identities of another
		"From: <sip:alice@ims.example>;tag=a\nTo: <sip:alice@ims.example>\nExpires: 0\nContact: *",
		"From: <sip:scscf@ims.example>;tag=a\nTo: <sip:alice@ims.example>\nExpires: 0\nContact: <sip:scscf.ims.example>",
		"From: <sip:scscf@ims.example>;tag=a\nTo: <sip:alice@ims.example>\nExpires: 600\nContact: <sip:10.1.0.66;lr>",
		"From: <sip:scscf@ims.example>;tag=a\nTo: <sip:mallory@ims.example>\nExpires: 600\nContact: <sip:x>\nP-Associated-URI: <sip:mallory@ims.example>, <sip:alice@ims.example>",
		"From: <sip:mallory@ims.example>;tag=a\nTo: <sip:mallory@ims.example>\nExpires: 600\nContact: <sip:x>\nP-Associated-URI: <sip:alice@ims.example>, <sip:mallory@ims.example>",
		"Event: presence\nExpires: 600\nContact: <sip:alice@10.0.0.9>;+sip.instance=\"<urn:uuid:of-alice>\"",
		"Event: presence\nExpires: 600\nContact: <sip:alice@ims.example;gr=urn:uuid:of-alice>",
		// numbers and names beyond all bounds
		"Event: presence\nExpires: 4294967296\nCSeq: 4294967296 SUBSCRIBE", "Event: presence\nExpires: 18446744073709551616\nCSeq: 99999999999999999999 SUBSCRIBE",
		"Event: presence\nFrom: <sip:mallory@ims.example>;tag=" + long, "Event: presence\nTo: <sip:bob@ims.example>;tag=" + long, "Event: " + long,
		"Event: presence\nFrom: <sip:mallory@ims.example>\nCall-ID: ", "Event: presence;id=\"a\\\"\nExpires: -1", "Event: invented.winfo.winfo;id=1;id=2",
		// what nothing here is meant to act upon
		"Path: <sip:10.1.0.66;lr>\nService-Route: <sip:10.1.0.66;lr>", "Replaces: of-alice;to-tag=uas;from-tag=a\nJoin: of-alice;to-tag=uas;from-tag=a",
		"Content-Encoding: gzip\nContent-Type: application/pidf+xml", "Contact: <sip:10.1.0.66:6379;transport=tcp>\nRetry-After: 4294967296",
	} {
		for _, kind := range []uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 24, 32, 34, 35, 48} {
			f.Add(kind, "sip:bob@ims.example", fields)
		}
	}
	methods := []string{"SUBSCRIBE", "MESSAGE", "INVITE", "PUBLISH", "BYE", "CANCEL", "OPTIONS", "NOTIFY", "REGISTER", "ACK", "REFER", "UPDATE"}
	f.Fuzz(func(t *testing.T, kind uint8, uri, fields string) {
		if strings.ContainsAny(uri, "\r\n ") || uri == "" {
			return
		}
		o := &bystanders{}
		play(t, func(r *rig) {
			s := &hostileStage{rig: r, toCore: r.dial("10.0.0.2", coreSide)}
			s.stands("first")
			s.subscribes("alice")
			s.subscribes("mallory")
			s.notifies("200 OK", "200")
			s.attack(kind, methods[(kind&7|kind>>5<<3)%uint8(len(methods))], uri, fields)
			r.pass(40 * time.Second) // what it began is over
			s.notifies("200 OK", "200")
			if r.s.health.Down() {
				r.Fatal("the server is marked down")
			}
			for _, at := range []string{coreAddr, serverAddr} {
				if r.s.routing.Bad.Has(netip.MustParseAddrPort(at), time.Now()) {
					r.Fatalf("%s is marked bad", at)
				}
			}
			if len(o.told) > 0 {
				r.Fatalf("held against others: %q", o.told)
			}
			s.stands("last")
			s.notifies("480 Gone", "481") // alice is watched as before
			if want := "[sip:alice@ims.example: failed at sip:alice@10.0.0.9]"; fmt.Sprint(o.told) != want {
				r.Fatalf("of alice's own failure is told %s", o.told)
			}
		}, func(c *Config) {
			c.Resolver = &someNames{}
			c.Monitor = dialogsmonitor.New(dialogsmonitor.NewTable(dialogsmonitor.Config{MaxSubscriptions: 1000}, nil), o, zerolog.Nop(), nil)
		})
	})
}

// attack has the core pass on what mallory wrote.
func (s *hostileStage) attack(kind uint8, method, uri, fields string) {
	via, stream := "SIP/2.0/UDP "+coreAddr+";branch=z9hG4bKhostile", kind&16 != 0
	if stream {
		via = "SIP/2.0/TCP " + coreAddr + ";branch=z9hG4bKhostile"
	}
	start := method + " " + uri + " SIP/2.0\r\nVia: " + via + "\r\n"
	if kind&8 != 0 { // its answer to a NOTIFY of its own
		n := strings.NewReplacer("Call-ID: c1", "Call-ID: of-mallory", "<sip:bob@ims.example>;tag=watcher", "<sip:mallory@ims.example>;tag=a").Replace(notify("Event: presence", "Subscription-State: active"))
		s.server.send(serverSide, n)
		var m wire.Message
		if got := s.core.poll(); wire.Scan([]byte(got), &m) == nil && m.Request {
			start = "SIP/2.0 480 Gone\r\n"
			for values := m.Values(wire.Via); ; {
				v, _, ok := values.Next()
				if !ok {
					break
				}
				start += "Via: " + string(v) + "\r\n"
			}
		}
	}
	text, ok := ofMallory(start, method, fields)
	switch {
	case !ok:
	case stream:
		_, _ = s.toCore.conn.Write([]byte(text))
	default:
		_, _ = s.core.conn.WriteTo(bytes.Clone([]byte(text)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(coreSide)))
	}
	synctest.Wait()
}
