package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transaction"
)

// postman keeps the parcel of the NOTIFY that failed, answers the server 200 in its
// place, and writes down what becomes of it.
type postman struct {
	parcel dialogs.Parcel
	log    []string
}

func (p *postman) keep(o dialogs.Outcome) dialogs.Verdict {
	if o.Kind == dialogs.Responded && o.Status < 300 {
		return dialogs.Verdict{Relay: true}
	}
	p.parcel = o.Parcel
	p.parcel.Raw = bytes.Clone(o.Parcel.Raw)
	return dialogs.Verdict{Status: 200, Reason: "OK"}
}

func (p *postman) done(id uint64, o dialogs.Outcome) {
	kind := [...]string{"responded", "timeout", "unreachable"}[o.Kind]
	p.log = append(p.log, fmt.Sprintf("%d %s %d late=%t", id, kind, o.Status, o.Late))
}

func (p *postman) want(t *testing.T, log ...string) {
	t.Helper()
	if got := strings.Join(p.log, "; "); got != strings.Join(log, "; ") {
		t.Fatalf("told %q, want %q", got, log)
	}
	p.log = nil
}

// deliverPlay has the NOTIFY refused by the core and kept, and hands it to f.
func deliverPlay(t *testing.T, f func(r *rig, p *postman, first string)) {
	t.Helper()
	p := &postman{}
	play(t, func(r *rig) {
		r.monitor.verdict = p.keep
		r.server.send(serverSide, notify())
		first := r.core.want("NOTIFY")
		r.core.send(coreSide, reply(first, "480 Temporarily Unavailable"))
		r.server.want("SIP/2.0 200 OK")
		r.server.send(serverSide, notify())
		r.server.want("SIP/2.0 200 OK") // its retransmission gets the same
		r.core.nothing()
		r.monitor.told()
		f(r, p, first)
	}, retrying, func(c *Config) { c.Delivered = p.done })
}

// TestDeliver sends a NOTIFY once more: the same bytes by another branch, retransmitted
// as by any client, and nobody but Delivered hears how it ends.
func TestDeliver(t *testing.T) {
	deliverPlay(t, func(r *rig, p *postman, first string) {
		if !r.s.Deliver(7, p.parcel) {
			t.Fatal("not sent")
		}
		again := r.core.want("NOTIFY")
		if a, b := branchOf(t, first), branchOf(t, again); a.Key == b.Key || plain(again) != plain(first) {
			t.Fatal(again)
		}
		r.pass(transaction.Tick + 500*time.Millisecond)
		if r.core.want("NOTIFY") != again {
			t.Error("it is not retransmitted")
		}
		r.core.send(coreSide, reply(again, "180 Wait"))
		r.core.send(coreSide, reply(again, "200 OK"))
		r.core.send(coreSide, reply(again, "200 OK"))
		r.server.nothing()
		p.want(t, "7 responded 200 late=false")
		if told := r.monitor.told(); told != "" {
			t.Error(told)
		}
	})
}

// TestDeliverAnyBody: whatever the content, it is kept and sent as it came; retransmissions of
// the server are absorbed, and a 2xx that comes after the answer goes no further.
func TestDeliverAnyBody(t *testing.T) {
	for name, c := range map[string]struct{ head, body string }{
		"gzip":    {"Content-Type: application/pidf+xml\nContent-Encoding: gzip", "\x1f\x8b\x08\x00\x00\r\n\r\n\xff"},
		"compact": {"c:application/dialog-info+xml;Charset=\"UTF-8\"\ne : identity", "<dialog-info state='full'/>"},
		"folded":  {"Content-Type: multipart/related;\n type=\"application/rlmi+xml\";boundary=b", "--b\r\nContent-Type: application/rlmi+xml\r\n\r\n<list/>\r\n--b--\r\n"},
		"unknown": {"CONTENT-TYPE :application/X-odd", "x\x00y"},
		"large":   {"Content-Type: application/pidf+xml", strings.Repeat("<presence/>", 300)},
	} {
		t.Run(name, func(t *testing.T) {
			p := &postman{}
			play(t, func(r *rig) {
				r.monitor.verdict = func(o dialogs.Outcome) dialogs.Verdict {
					if o.Late {
						return dialogs.Verdict{}
					}
					return p.keep(o)
				}
				msg := strings.Replace(notify(), "Content-Length: 0\n", fmt.Sprintf("%s\nl: %d\n\n%s", c.head, len(c.body), c.body), 1)
				r.server.send(serverSide, msg)
				first := r.core.want("NOTIFY")
				r.core.send(coreSide, reply(first, "480 Temporarily Unavailable"))
				r.server.want("SIP/2.0 200")
				r.server.send(serverSide, msg)
				r.server.want("SIP/2.0 200")
				r.core.send(coreSide, reply(first, "200 OK"))
				r.core.nothing()
				r.server.nothing()
				if string(p.parcel.Raw) != crlf(msg) {
					t.Errorf("kept %q", p.parcel.Raw)
				}
				r.s.Deliver(7, p.parcel)
				if again := r.core.want("NOTIFY"); plain(again) != plain(first) || !strings.HasSuffix(again, "\r\n\r\n"+c.body) {
					t.Errorf("sent %q", again)
				}
			}, retrying, func(c *Config) { c.Delivered = p.done })
		})
	}
}

func TestDeliverInVain(t *testing.T) {
	deliverPlay(t, func(r *rig, p *postman, _ string) {
		r.s.Deliver(7, p.parcel)
		again := r.core.want("NOTIFY")
		r.core.send(coreSide, reply(again, "480 Temporarily Unavailable"))
		p.want(t, "7 responded 480 late=false")

		r.s.Deliver(8, p.parcel)
		again = r.core.want("NOTIFY")
		r.pass(28*time.Second + 2*transaction.Tick)
		p.want(t, "8 timeout 0 late=false")
		r.core.send(coreSide, reply(again, "200 OK"))
		p.want(t, "8 responded 200 late=true")
		r.server.nothing() // neither a 100 nor an answer
	})
}

// TestRecall: what is recalled is not sent again, and nobody hears how it ends.
func TestRecall(t *testing.T) {
	deliverPlay(t, func(r *rig, p *postman, _ string) {
		r.s.Deliver(7, p.parcel)
		again := r.core.want("NOTIFY")
		r.s.Recall(7)
		r.pass(30 * time.Second)
		r.core.nothing()
		r.core.send(coreSide, reply(again, "200 OK"))
		r.server.nothing()
		r.s.Recall(9) // which there is not
		p.want(t, "7 responded 200 late=true")
	})
}

// TestHurry sends again at once, and from then on as at the beginning.
func TestHurry(t *testing.T) {
	deliverPlay(t, func(r *rig, p *postman, _ string) {
		r.s.Deliver(7, p.parcel)
		again := r.core.want("NOTIFY")
		r.pass(8 * time.Second)
		for range 4 {
			r.core.want("NOTIFY")
		}
		r.core.nothing()
		r.s.Hurry(7)
		r.pass(2 * transaction.Tick)
		if r.core.want("NOTIFY") != again {
			t.Error("it is another one")
		}
		r.core.nothing()
		r.pass(transaction.Tick + 500*time.Millisecond)
		r.core.want("NOTIFY")
		r.core.send(coreSide, reply(again, "200 OK"))
		r.s.Hurry(7)
		r.pass(time.Second)
		r.core.nothing()
		p.want(t, "7 responded 200 late=false")
	})
}

// TestDeliverRefused takes a refused datagram for the end of the attempt.
func TestDeliverRefused(t *testing.T) {
	deliverPlay(t, func(r *rig, p *postman, _ string) {
		_ = r.core.conn.Close()
		r.s.Deliver(7, p.parcel)
		r.pass(time.Second)
		p.want(t, "7 unreachable 0 late=false")
	})
}

// TestDeliverByName waits for the name of the next hop, and for no name without end.
func TestDeliverByName(t *testing.T) {
	p := &postman{}
	play(t, func(r *rig) {
		raw := strings.Replace(crlf(notify()), "<sip:"+coreAddr+";lr>", "<sip:pcscf.example;lr>", 1)
		if raw == crlf(notify()) {
			t.Fatal("no Route to replace in", raw)
		}
		parcel := dialogs.Parcel{Raw: []byte(raw), From: netip.MustParseAddrPort(serverAddr), Local: 2}
		r.s.Deliver(7, parcel)
		r.core.nothing()
		r.names.learn("pcscf.example", nil, coreAddr)
		r.core.send(coreSide, reply(r.core.want("NOTIFY"), "481 Gone"))
		p.want(t, "7 responded 481 late=false")

		r.names.known = nil
		r.s.Deliver(8, parcel)
		for range maxParkings + 1 {
			r.names.learn("pcscf.example", errors.New("no such name"))
		}
		r.core.nothing()
		p.want(t, "8 unreachable 0 late=false")
	}, func(c *Config) { c.Delivered = p.done })
}

// TestHeard tells of other requests of the core while a sign of life is awaited.
func TestHeard(t *testing.T) {
	play(t, func(r *rig) {
		publish := request("PUBLISH", "sip:alice@ims.example", viaCore)
		r.core.send(coreSide, publish)
		r.server.want("PUBLISH")
		if told := r.monitor.told(); told != "" {
			t.Error(told)
		}
		r.monitor.waits = true
		r.core.send(coreSide, strings.ReplaceAll(publish, "z9hG4bK", "z9hG4bKother"))
		r.server.want("PUBLISH")
		if told := r.monitor.told(); told != "heard c1" {
			t.Error(told)
		}
	})
}

// TestDeliverHasNoRoom leaves the table to the NOTIFYs that have a client waiting.
func TestDeliverHasNoRoom(t *testing.T) {
	deliverPlay(t, func(r *rig, p *postman, _ string) {
		if r.s.Deliver(7, dialogs.Parcel{Raw: p.parcel.Raw, Local: 99}) || r.s.Deliver(7, dialogs.Parcel{Raw: []byte("x")}) {
			t.Error("sent what cannot be")
		}
		for i := 0; !r.s.table.Scarce(); i++ {
			r.s.table.Begin(uint64(i)+1, 1, &transaction.Request{Hops: []resolve.Hop{coreHop("udp", netip.MustParseAddrPort(coreAddr))}}, nil) //nolint:gosec // small
		}
		if r.s.Deliver(7, p.parcel) {
			t.Error("sent without room")
		}
		p.want(t, "")
	})
}

// TestOverdue: a NOTIFY that is open is taken by the Monitor, if it wants to; then the
// server has its answer, the core gets it once more at once, and what it answers is told.
func TestOverdue(t *testing.T) {
	early := func(taken bool) func(dialogs.Outcome) dialogs.Verdict {
		return func(o dialogs.Outcome) dialogs.Verdict {
			if o.Early && (o.Kind != dialogs.TimedOut || !taken) || !o.Early && !o.Late {
				return dialogs.Verdict{Relay: !o.Early}
			}
			if o.Late {
				return dialogs.Verdict{}
			}
			return dialogs.Verdict{Status: 200, Reason: "OK"}
		}
	}
	for _, taken := range []bool{true, false} {
		play(t, func(r *rig) {
			r.monitor.verdict = early(taken)
			r.server.send(serverSide, notify())
			first := r.core.want("NOTIFY")
			r.pass(3 * time.Second)
			r.monitor.told()
			r.s.Overdue(r.monitor.open[1])
			if !taken {
				r.core.nothing()
				r.server.nothing()
				r.core.send(coreSide, reply(first, "480 Temporarily Unavailable"))
				r.server.want("SIP/2.0 480")
				return
			}
			r.server.want("SIP/2.0 200")
			if r.core.want("NOTIFY") != first {
				t.Error("the core does not get it once more")
			}
			r.core.send(coreSide, reply(first, "500 Older"))
			if told := r.monitor.told(); !strings.Contains(told, "500 late=true") {
				t.Error(told)
			}
			r.s.Overdue(r.monitor.open[1]) // it has ended
			r.core.nothing()
			r.server.nothing()
		}, retrying)
	}
}

// TestSafely: the server has its answer when what it stands for is safe, and not before;
// it may send again meanwhile.
func TestSafely(t *testing.T) {
	answers := func(r *rig) {
		r.server.send(serverSide, notify())
		r.server.nothing()
		r.core.nothing()
		if r.monitor.safe == nil {
			t.Fatal("nobody waits")
		}
		r.monitor.safe()
		r.server.want("SIP/2.0 200")
		r.server.send(serverSide, notify())
		r.server.want("SIP/2.0 200")
	}
	play(t, func(r *rig) {
		r.monitor.verdict = func(dialogs.Outcome) dialogs.Verdict { return dialogs.Verdict{Status: 200, Reason: "OK", Safely: true} }
		r.server.send(serverSide, notify())
		r.core.send(coreSide, reply(r.core.want("NOTIFY"), "480 Temporarily Unavailable"))
		answers(r)
	}, retrying)
	play(t, func(r *rig) {
		r.monitor.notify = dialogs.Ruling{Status: 200, Reason: "OK", Safely: true}
		r.server.send(serverSide, notify())
		answers(r)
	})
}
