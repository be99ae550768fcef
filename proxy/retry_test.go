package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/proxy/transaction"
)

func retrying(c *Config) { c.Retry = true }

// TestRetryBeforeVerdict tries a NOTIFY once more that was refused for a while: with its
// CSeq, by a new branch, and the last outcome counts. The server hears nothing of it.
func TestRetryBeforeVerdict(t *testing.T) {
	for status, wait := range map[string]time.Duration{"491 Request Pending": 2 * time.Second, "480 Temporarily Unavailable": 3 * time.Second} {
		t.Run(status, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			play(t, func(r *rig) {
				r.server.send(serverSide, notify())
				got := r.core.want("NOTIFY")
				r.core.send(coreSide, reply(got, status, "Retry-After: 3"))
				if strings.HasPrefix(status, "491") {
					wait = 3 * time.Second
				}
				r.server.send(serverSide, notify())
				r.core.nothing()
				r.pass(wait + 2*transaction.Tick)
				again := r.core.want("NOTIFY")
				if a, b := branchOf(t, got), branchOf(t, again); a.Attempt == b.Attempt || plain(got) != plain(again) {
					t.Error(a, b, again)
				}
				r.server.nothing()
				r.core.send(coreSide, reply(again, "200 OK"))
				r.server.want("SIP/2.0 200")
				if told := r.monitor.told(); told != "NOTIFY c1; NOTIFY responded 200 late=false" {
					t.Error(told)
				}
				why := map[byte]string{'1': "491", '0': "retry-after"}[status[2]]
				if tries := r.monitor.outcomes[0].Tries; len(tries) != 1 || tries[0].String() != "upon "+why+", by udp "+coreAddr {
					t.Error(tries)
				}
				if got := shown(t, reg, "rewatch_notify_retries_total"); !strings.Contains(got, "ok "+why+" 1\n") || strings.Count(got, " 0\n") != 9 {
					t.Error(got)
				}
			}, retrying, func(c *Config) { c.Reg = reg })
		})
	}
}

// TestRetryIsInVain judges the last outcome, and waits for no Retry-After that is beyond
// the deadline.
func TestRetryIsInVain(t *testing.T) {
	reg := prometheus.NewRegistry()
	play(t, func(r *rig) {
		r.monitor.verdict = gone
		r.server.send(serverSide, notify())
		got := r.core.want("NOTIFY")
		r.core.send(coreSide, reply(got, "480 Temporarily Unavailable", "Retry-After: 20"))
		r.pass(20*time.Second + 2*transaction.Tick)
		r.server.want("SIP/2.0 100")
		again := r.core.want("NOTIFY")
		r.core.send(coreSide, reply(again, "480 Temporarily Unavailable", "Retry-After: 20"))
		r.server.want("SIP/2.0 481")
		if told := r.monitor.told(); told != "NOTIFY c1; NOTIFY responded 480 late=false" {
			t.Error(told)
		}
		if got := shown(t, reg, "rewatch_notify_retries_total"); !strings.Contains(got, "failed retry-after 1\n") {
			t.Error(got)
		}
	}, retrying, func(c *Config) { c.Reg = reg })
}

// TestRetryIsNotAsked lets a challenge, and the end of a dialog, pass at once.
func TestRetryIsNotAsked(t *testing.T) {
	for _, status := range []string{"401 Unauthorized", "407 Proxy Authentication Required", "481 Subscription Does Not Exist", "489 Bad Event", "480 Temporarily Unavailable"} {
		play(t, func(r *rig) {
			r.server.send(serverSide, notify())
			got := r.core.want("NOTIFY")
			extra := []string{"Retry-After: 1"}
			if strings.HasPrefix(status, "480") {
				extra = nil
			}
			r.core.send(coreSide, reply(got, status, extra...))
			r.server.want("SIP/2.0 " + status)
			r.pass(time.Minute)
			r.core.nothing()
		}, retrying)
	}
}

// TestLargeBySilentUDP tries TCP for a NOTIFY that is too long for one datagram where the
// hop has refused TCP lately, in time for an answer.
func TestLargeBySilentUDP(t *testing.T) {
	play(t, func(r *rig) {
		big := strings.Replace(notify(), "Content-Length: 0\n", "Content-Length: 1300\n\n"+strings.Repeat("x", 1300), 1)
		r.server.send(serverSide, big)
		r.core.want("NOTIFY") // nobody takes TCP yet
		r.server.send(serverSide, strings.ReplaceAll(big, "server1", "server2"))
		r.core.want("NOTIFY")
		accept := r.listen(coreAddr)
		r.pass(14*time.Second + 2*transaction.Tick)
		x := accept()
		got := x.want("NOTIFY")
		x.send(reply(got, "200 OK"))
		r.server.want("SIP/2.0 100")
		r.server.want("SIP/2.0 100")
		r.server.want("SIP/2.0 200")
	}, retrying)
}
