package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rewatch/proxy/resolve"
)

// care makes the health of the server looked after; asked counts the OPTIONS.
func care(asked *atomic.Int64, answers *atomic.Bool) option {
	return func(c *Config) {
		c.Probe = func(ctx context.Context, _ resolve.Hop) error {
			asked.Add(1)
			if answers.Load() {
				return nil
			}
			<-ctx.Done()
			return errors.New("no response")
		}
	}
}

func (r *rig) up(want bool, detail string) {
	r.Helper()
	if up, why := r.s.ServerUp(); up != want || !strings.Contains(why, detail) {
		r.Fatalf("server up: %v (%q), want %v (%q)", up, why, want, detail)
	}
}

// Of a server that is down each tenth request is tried, or one in ten seconds.
const (
	trialEvery = 10
	trialPause = 10 * time.Second
)

const anySubscribe = `SUBSCRIBE sip:bob@ims.example SIP/2.0
Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK-h%
From: <sip:alice@ims.example>;tag=a
To: <sip:bob@ims.example>
Call-ID: health%
CSeq: 1 SUBSCRIBE
Event: presence
`

func subscribeNumber(n string) string { return strings.ReplaceAll(anySubscribe, "%", n) }

// A server that is there gets an empty line now and then, and no OPTIONS.
func TestSilentServerIsOnlyPinged(t *testing.T) {
	var asked atomic.Int64
	var answers atomic.Bool
	play(t, func(r *rig) {
		r.pass(time.Second)
		r.server.want("\r\n\r\n")
		r.up(true, "")
		r.pass(time.Minute)
		if asked.Load() != 0 {
			r.Errorf("%d OPTIONS", asked.Load())
		}
		r.server.want("\r\n\r\n")
	}, care(&asked, &answers))
}

// A server that leaves requests unanswered is asked, and is down when it does not
// answer that either; a word from it brings it back.
func TestDeafServer(t *testing.T) {
	var asked atomic.Int64
	var answers atomic.Bool
	play(t, func(r *rig) {
		r.pass(time.Second)
		r.server.want("\r\n\r\n")
		r.core.send(coreSide, subscribeNumber("1"))
		request := r.server.want("SUBSCRIBE")
		r.pass(3 * time.Second)
		if asked.Load() != 0 {
			r.Fatal("asked too early")
		}
		r.up(true, "")
		r.pass(9 * time.Second)
		r.up(false, "no answer")
		r.core.send(coreSide, subscribeNumber("2"))
		r.core.want("SIP/2.0 503")
		r.server.send(serverSide, reply(request, "200 OK", "Expires: 600"))
		r.core.want("SIP/2.0 200")
		r.up(true, "")
		r.core.send(coreSide, subscribeNumber("3"))
	}, care(&asked, &answers))
}

// A server that ignores OPTIONS is not down for ever after one lost request: of the requests
// that are refused every tenth is tried, with its retransmissions, and a few without a
// crowd; any word of the server's proves it, even one that cannot be read.
func TestServerThatIgnoresOPTIONS(t *testing.T) {
	down := func(r *rig) {
		r.pass(time.Second)
		r.server.want("\r\n\r\n")
		r.core.send(coreSide, subscribeNumber("0"))
		r.server.want("SUBSCRIBE") // and it is lost
		r.pass(12 * time.Second)
		r.up(false, "no answer")
		for r.server.poll() != "" {
		}
	}
	t.Run("a crowd", func(t *testing.T) {
		play(t, func(r *rig) {
			down(r)
			for i := range 2*trialEvery - 1 {
				r.core.send(coreSide, subscribeNumber(fmt.Sprint(i, "crowd")))
				if i%trialEvery != trialEvery-1 {
					r.core.want("SIP/2.0 503")
					continue
				}
				r.server.want("SUBSCRIBE")
				r.core.send(coreSide, subscribeNumber(fmt.Sprint(i, "crowd"))) // again
				r.core.nothing()
				if got := r.server.want("SUBSCRIBE"); i > trialEvery {
					r.server.send(serverSide, reply(got, "200 OK"))
				}
			}
			r.core.send(coreSide, subscribeNumber("last"))
			r.server.send(serverSide, reply(r.server.want("SUBSCRIBE"), "486 Busy Here"))
			r.core.want("SIP/2.0 486")
			r.up(true, "")
		}, care(new(atomic.Int64), new(atomic.Bool)))
	})
	t.Run("a single phone", func(t *testing.T) {
		play(t, func(r *rig) {
			down(r)
			r.core.send(coreSide, subscribeNumber("1"))
			r.core.want("SIP/2.0 503")
			r.pass(trialPause)
			r.core.send(coreSide, subscribeNumber("2"))
			for got := ""; !strings.HasPrefix(got, "SUBSCRIBE"); {
				if got = r.server.poll(); got == "" {
					r.Fatal("it is not tried")
				}
			}
		}, care(new(atomic.Int64), new(atomic.Bool)))
	})
	t.Run("what cannot be read", func(t *testing.T) {
		play(t, func(r *rig) {
			down(r)
			r.server.send(serverSide, "SIP/2.0 200 OK\nVia: ,\n")
			r.up(true, "")
		}, care(new(atomic.Int64), new(atomic.Bool)))
	})
}

// A server that is slow but answers OPTIONS is not down.
func TestSlowServer(t *testing.T) {
	var asked atomic.Int64
	var answers atomic.Bool
	answers.Store(true)
	play(t, func(r *rig) {
		r.core.send(coreSide, subscribeNumber("1"))
		r.pass(time.Minute)
		r.up(true, "")
		if asked.Load() != 2 { // by UDP and by TCP
			r.Errorf("%d OPTIONS for one silence", asked.Load())
		}
	}, care(&asked, &answers))
}

// A refusal takes the server down at once, and the end of the refusals brings it
// back without a message.
func TestRefusingServer(t *testing.T) {
	var asked atomic.Int64
	var answers atomic.Bool
	play(t, func(r *rig) {
		_ = r.server.conn.Close()
		r.pass(2 * time.Second)
		r.up(false, "refused")
		r.core.send(coreSide, subscribeNumber("1"))
		r.core.want("SIP/2.0 503")
		r.server.conn = r.net.ListenPacket(serverAddr)
		r.pass(3 * time.Second)
		r.up(true, "")
		r.core.send(coreSide, subscribeNumber("2"))
		for got := r.server.poll(); !strings.HasPrefix(got, "SUBSCRIBE"); got = r.server.poll() {
			if got == "" {
				r.Fatal("the SUBSCRIBE has not arrived")
			}
		}
		if asked.Load() != 0 {
			r.Errorf("%d OPTIONS", asked.Load())
		}
	}, care(&asked, &answers))
}
