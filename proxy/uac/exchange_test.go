package uac

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Eleven datagrams in 32 seconds: 0, .5, 1.5, 3.5, 7.5, 11.5 ... 31.5 (RFC 3261
// 17.1.2.2).
func TestTimerEAndF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, never)
		r := p.client.Message(context.Background(), alice)
		if r.Status != 0 || !errors.Is(r.Err, ErrTimeout) {
			t.Fatalf("result %+v", r)
		}
		if d := time.Since(p.start); d != 32*time.Second {
			t.Errorf("gave up after %v", d)
		}
		var at []string
		for _, s := range p.done() {
			at = append(at, s.at.String())
			if s.text != p.sent[0].text {
				t.Errorf("the repetition differs:\n%s", s.text)
			}
		}
		if got, want := strings.Join(at, " "), "0s 500ms 1.5s 3.5s 7.5s 11.5s 15.5s 19.5s 23.5s 27.5s 31.5s"; got != want {
			t.Errorf("sent at %s, want %s", got, want)
		}
	})
}

func TestNoRepetitionOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, never, func(c *Config) { c.Core = nil })
		m := alice
		m.Route = "sip:scscf.ims.example:6060;transport=tcp"
		ctx, cancel := context.WithTimeout(context.Background(), 32*time.Second)
		defer cancel()
		p.client.Message(ctx, m)
		s := p.done()
		if len(s) != 1 || !strings.Contains(s[0].text, "Via: SIP/2.0/TCP ") || time.Since(p.start) != 32*time.Second {
			t.Errorf("%d sent in %v:\n%s", len(s), time.Since(p.start), s[0].text)
		}
	})
}

// A silent S-CSCF says nothing of the watcher: the core finds another way (RFC 3263 4.3).
// A de-REGISTER may have been carried out.
func TestSilentServingNode(t *testing.T) {
	const silent = "sip:scscf.ims.example:6060;transport=tcp"
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(_ int, s sent) []string {
			if strings.Contains(s.text, "SIP/2.0/TCP") {
				return nil
			}
			return []string{respond(s, "200 OK")}
		})
		m := alice
		m.Route = silent
		r := p.client.Message(context.Background(), m)
		s := p.done()
		if !r.OK() || len(s) != 2 || header(s[1].text, "Route") != "<sip:core.ims.example;lr>" || time.Since(p.start).Round(time.Second) != 32*time.Second {
			t.Errorf("%+v, %d sent in %v", r, len(s), time.Since(p.start))
		}
		p.sent = nil
		j := signOut
		j.Route = silent
		if r := p.client.Deregister(context.Background(), j); !errors.Is(r.Err, ErrTimeout) || len(p.done()) != 1 {
			t.Errorf("de-REGISTER: %+v", r)
		}
	})
}

func TestContextBoundsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(_ int, s sent) []string { return []string{respond(s, "100 Trying")} })
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		r := p.client.Message(ctx, alice)
		if !errors.Is(r.Err, context.DeadlineExceeded) || time.Since(p.start) != 5*time.Second {
			t.Errorf("%+v after %v", r, time.Since(p.start))
		}
		p.done()
	})
}

func TestProvisionalThenLateFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(n int, s sent) []string {
			if n < 3 {
				return []string{respond(s, "100 Trying")}
			}
			ok := respond(s, "200 OK")
			return []string{ok, ok, ok}
		})
		if r := p.client.Message(context.Background(), alice); !r.OK() {
			t.Errorf("result %+v", r)
		}
		p.done()
	})
}

// A client of sipgo hands every response on synchronously; Receive must not.
func TestReceiveNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, never)
		go p.client.Message(context.Background(), alice)
		synctest.Wait()
		for range 10 * feedSize {
			if !p.client.Receive([]byte(respond(p.sent[0], "100 Trying"))) {
				t.Fatal("not taken")
			}
		}
		p.client.Receive([]byte(respond(p.sent[0], "200 OK")))
		synctest.Wait()
		for _, raw := range []string{
			"", "SIP/2.0 200 OK\r\n\r\n", "nonsense",
			respond(p.sent[0], "200 OK"), // the transaction is over
			strings.ReplaceAll(respond(p.sent[0], "200 OK"), BranchPrefix, BranchPrefix+"x"),
			p.sent[0].text,
		} {
			if p.client.Receive([]byte(raw)) {
				t.Errorf("took %q", raw)
			}
		}
		time.Sleep(40 * time.Second)
		p.done()
	})
}

// Headers that nobody asked for, however odd, must not cost us the response; nor
// must a peer that writes all Via values into one line.
func TestOddResponses(t *testing.T) {
	for _, odd := range []string{"Contact: <<>", "To: ;;", "Content-Length: many", "Via: nonsense/x"} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, func(_ int, s sent) []string {
				res := respond(s, "200 OK", odd)
				return []string{strings.Replace(res, ";rport\r\n", ";rport, SIP/2.0/UDP other;branch=z9hG4bKo\r\n", 1)}
			})
			r := p.client.Message(context.Background(), alice)
			if strings.HasPrefix(odd, "Via") {
				if r.OK() {
					t.Logf("%s: taken", odd)
				}
			} else if !r.OK() {
				t.Errorf("%s: %+v", odd, r)
			}
			p.done()
		})
	}
}

func TestNextHop(t *testing.T) {
	m := alice
	m.Route = "sip:two.ims.example"
	tests := []struct {
		name   string
		answer func(int, sent) []string
		down   []Hop
		status int
		tried  int
		last   Hop
	}{
		{"first answers", always("200 OK"), nil, 200, 1, hopA},
		{"refusal is final", always("404 Not Found"), nil, 404, 1, hopA},
		{"first is down", always("200 OK"), []Hop{hopA}, 200, 1, hopB},
		{"503 then 200", func(n int, s sent) []string {
			return []string{respond(s, map[int]string{1: "503 Service Unavailable", 2: "200 OK"}[n])}
		}, nil, 200, 2, hopB},
		{"503 from all", always("503 Service Unavailable"), nil, 503, 2, hopB},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t, tt.answer)
				for _, h := range tt.down {
					p.down[h.Addr] = true
				}
				r := p.client.Message(context.Background(), m)
				s := p.done()
				if r.Status != tt.status || len(s) != tt.tried || s[len(s)-1].hop != tt.last {
					t.Errorf("%+v, sent %d, last to %v", r, len(s), s[len(s)-1].hop.Addr)
				}
			})
		})
	}
	t.Run("all are down", func(t *testing.T) {
		p := newPeer(t, never)
		p.down[hopA.Addr], p.down[hopB.Addr] = true, true
		if r := p.client.Message(context.Background(), m); r.Status != 0 || r.Err == nil || errors.Is(r.Err, ErrTimeout) {
			t.Errorf("%+v", r)
		}
	})
	t.Run("name unknown", func(t *testing.T) {
		p := newPeer(t, never, func(c *Config) { c.Core = nil })
		m.Route = "sip:nowhere.example"
		if r := p.client.Message(context.Background(), m); r.Err == nil || !strings.Contains(r.Err.Error(), "nowhere") {
			t.Errorf("%+v", r)
		}
	})
}

func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("405 Method Not Allowed"))
		r := p.client.Probe(context.Background(), hopS, "sip:127.0.0.1:5070")
		if r.Err != nil || r.Status != 405 {
			t.Errorf("%+v", r)
		}
		text := p.done()[0].text
		if !strings.HasPrefix(text, "OPTIONS sip:127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5062;branch=") ||
			header(text, "Max-Forwards") != "70" || header(text, "Content-Length") != "0" {
			t.Errorf("got\n%s", text)
		}
		p.answer = never
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if r := p.client.Probe(ctx, hopS, "sip:127.0.0.1:5070"); r.Err == nil {
			t.Errorf("%+v", r)
		}
		p.done()
	})
}
