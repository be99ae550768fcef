package proxy

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport/transporttest"
	"rewatch/proxy/wire"
)

// TestNotifyRetransmitted tells the Monitor once, however often a NOTIFY comes.
func TestNotifyRetransmitted(t *testing.T) {
	play(t, func(r *rig) {
		branches := map[string]bool{}
		for range 10 {
			r.server.send(serverSide, notify())
			branches[ourBranch.FindString(r.core.want("NOTIFY"))] = true
		}
		if len(branches) != 1 {
			t.Error("a retransmission has a branch of its own: ", branches)
		}
		r.server.send(serverSide, strings.Replace(notify(), "server1", "server2", 1))
		got := r.core.want("NOTIFY")
		if branches[ourBranch.FindString(got)] {
			t.Error("another transaction has the same branch")
		}
		if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY c1" {
			t.Error(s)
		}
		for range 3 {
			r.core.send(coreSide, reply(got, "200 OK"))
			r.server.want("SIP/2.0 200 OK")
		}
		r.server.send(serverSide, strings.Replace(notify(), "server1", "server2", 1))
		r.core.want("NOTIFY") // a late one follows the same path
		if s := r.monitor.told(); s != "NOTIFY responded 200 late=false" {
			t.Error(s)
		}
		r.pass(2 * time.Minute)
		if n := r.s.table.Len(); n != 0 {
			t.Error(n, "records are left")
		}
	})
}

// TestVerdicts carries out what the Monitor makes of a failure, with the same
// answer for every retransmission, and no second telling.
func TestVerdicts(t *testing.T) {
	relay := func(dialogs.Outcome) dialogs.Verdict { return dialogs.Verdict{Relay: true} }
	silent := func(dialogs.Outcome) dialogs.Verdict { return dialogs.Verdict{} }
	for _, c := range []struct {
		name    string
		verdict func(dialogs.Outcome) dialogs.Verdict
		status  string // of the core's response
		want    string // what the server gets
	}{
		{"481", gone, "480 Away", "SIP/2.0 481 Subscription Does Not Exist"},
		{"passthrough", relay, "480 Away", "SIP/2.0 480 Away"},
		{"silent", silent, "480 Away", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				r.monitor.verdict = c.verdict
				r.server.send(serverSide, notify())
				got := r.core.want("NOTIFY")
				for range 2 {
					r.core.send(coreSide, reply(got, c.status, "Retry-After: 7 (soon)"))
				}
				first := r.server.poll()
				if !strings.HasPrefix(first, c.want) || (c.want == "" && first != "") {
					t.Fatal(first)
				}
				for range 3 {
					r.server.send(serverSide, notify())
					if again := r.server.poll(); again != first {
						t.Fatal(again)
					}
				}
				r.core.nothing()
				if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY responded 480 late=false" {
					t.Error(s)
				}
				o := r.monitor.outcomes[0]
				if o.RetryAfter != 7 || o.CSeq != 1 || o.Hop.String() != coreAddr {
					t.Error(o)
				}
				if o.Head != nil {
					t.Errorf("%s", o.Head)
				}
			})
		})
		t.Run(c.name+" with its head", func(t *testing.T) {
			play(t, func(r *rig) {
				r.monitor.verdict = c.verdict
				r.server.send(serverSide, notify())
				r.core.send(coreSide, reply(r.core.want("NOTIFY"), c.status))
				if first := r.server.poll(); !strings.HasPrefix(first, c.want) {
					t.Error(first)
				}
				head := string(r.monitor.outcomes[0].Head)
				if !strings.HasPrefix(head, "NOTIFY sip:watcher@10.0.0.9 SIP/2.0\r\nVia: "+viaServer+"\r\nRoute: <sip:"+coreAddr+";lr>\r\n") ||
					!strings.HasSuffix(head, "\r\n\r\n") {
					t.Error(head)
				}
			}, func(c *Config) { c.KeepHeads = true })
		})
	}
}

// TestNotifyTimeout gives up after 28 s, says 100 in time, and tells of a late 2xx
// once without passing it on.
func TestNotifyTimeout(t *testing.T) {
	play(t, func(r *rig) {
		r.monitor.verdict = gone
		start := time.Now()
		r.server.send(serverSide, notify())
		got := r.core.want("NOTIFY")
		r.pass(3500*time.Millisecond - 1)
		r.server.nothing()
		r.pass(2 * transaction.Tick)
		same(t, r.server.poll(), crlf(`
SIP/2.0 100 Trying
Via: SIP/2.0/UDP 10.1.0.2:5070;branch=z9hG4bKserver1
From: <sip:alice@ims.example>;tag=a
To: <sip:bob@ims.example>;tag=watcher
Call-ID: c1
CSeq: 1 NOTIFY
Content-Length: 0
`))
		r.pass(28*time.Second - time.Since(start) - 1)
		r.server.nothing()
		r.pass(2 * transaction.Tick)
		r.server.want("SIP/2.0 481")
		r.server.send(serverSide, notify())
		r.server.want("SIP/2.0 481")
		for range 2 {
			r.core.send(coreSide, reply(got, "200 OK"))
		}
		r.server.nothing()
		if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY timeout 0 late=false; NOTIFY responded 200 late=true" {
			t.Error(s)
		}
		r.pass(time.Minute)
		if n := r.s.table.Len(); n != 0 {
			t.Error(n, "records are left")
		}
	})
}

// TestLateRelay passes a late response on where the server was told nothing.
func TestLateRelay(t *testing.T) {
	play(t, func(r *rig) {
		r.server.send(serverSide, notify())
		got := r.core.want("NOTIFY")
		r.pass(29 * time.Second)
		r.server.want("SIP/2.0 100")
		r.server.nothing()
		for range 2 {
			r.core.send(coreSide, reply(got, "200 OK"))
			r.server.want("SIP/2.0 200")
		}
		if s := r.monitor.told(); !strings.HasSuffix(s, "timeout 0 late=false; NOTIFY responded 200 late=true") {
			t.Error(s)
		}
	})
}

// TestAnnounce: what follows from a failure never goes before the answer.
func TestAnnounce(t *testing.T) {
	for _, relay := range []bool{false, true} {
		play(t, func(r *rig) {
			seen := "not called"
			r.monitor.verdict = func(dialogs.Outcome) dialogs.Verdict {
				return dialogs.Verdict{Relay: relay, Status: 481, Reason: "Gone"}
			}
			r.monitor.announce = func() {
				d, _ := r.server.conn.Poll()
				seen = string(d.Bytes)
			}
			r.server.send(serverSide, notify())
			r.core.send(coreSide, reply(r.core.want("NOTIFY"), "480 Away"))
			if want := map[bool]string{false: "SIP/2.0 481", true: "SIP/2.0 480"}[relay]; !strings.HasPrefix(seen, want) {
				t.Error(seen)
			}
			r.server.nothing()
		})
	}
}

// TestRefusedDatagram fails a NOTIFY as soon as the network says that nobody is there.
func TestRefusedDatagram(t *testing.T) {
	play(t, func(r *rig) {
		r.monitor.verdict = gone
		_ = r.core.conn.Close()
		r.server.send(serverSide, notify())
		r.server.want("SIP/2.0 481")
		if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY unreachable 0 late=false" {
			t.Error(s)
		}
	})
}

// TestFailover tries every next hop before a NOTIFY has failed.
func TestFailover(t *testing.T) {
	second := "10.0.0.3:5060"
	msg := strings.Replace(notify(), coreAddr, "core.example", 1)
	both := func(c *Config) {}
	t.Run("refused", func(t *testing.T) {
		play(t, func(r *rig) {
			r.names.set("core.example", coreAddr, second)
			_ = r.core.conn.Close()
			other := r.peer(second)
			r.server.send(serverSide, msg)
			got := other.want("NOTIFY")
			r.server.send(serverSide, msg) // a retransmission follows
			other.want("NOTIFY")
			other.send(coreSide, reply(got, "200 OK"))
			r.server.want("SIP/2.0 200")
			// The next one does not try the dead hop.
			r.server.send(serverSide, strings.Replace(msg, "server1", "server2", 1))
			if got := other.want("NOTIFY"); branchOf(t, got).Attempt != 0 {
				t.Error("not its first attempt")
			}
		}, both)
	})
	t.Run("503, also twice", func(t *testing.T) {
		play(t, func(r *rig) {
			r.names.set("core.example", coreAddr, second)
			other := r.peer(second)
			r.server.send(serverSide, msg)
			first := r.core.want("NOTIFY")
			r.core.send(coreSide, reply(first, "503 Busy"))
			r.core.send(coreSide, reply(first, "503 Busy"))
			got := other.want("NOTIFY")
			r.server.nothing()
			if branchOf(t, first).Attempt == branchOf(t, got).Attempt {
				t.Error("two transactions with one branch")
			}
			other.send(coreSide, reply(got, "503 Busy"))
			r.server.want("SIP/2.0 503")
			if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY responded 503 late=false" {
				t.Error(s)
			}
		}, both)
	})
	t.Run("503, and the other is dead", func(t *testing.T) {
		for _, after := range []string{"", "120"} {
			play(t, func(r *rig) {
				r.names.set("core.example", coreAddr, second) // where nobody is
				r.monitor.verdict = func(dialogs.Outcome) dialogs.Verdict { return dialogs.Verdict{Relay: true} }
				r.server.send(serverSide, msg)
				r.core.send(coreSide, reply(r.core.want("NOTIFY"), "503 Busy", "Retry-After: "+after))
				got := r.server.want("SIP/2.0 503 Service Unavailable")
				if strings.Contains(got, "\nRetry-After: "+after) != (after != "") || strings.Contains(got, "Retry-After: -") {
					t.Error(got)
				}
				if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY responded 503 late=false" {
					t.Error(s)
				}
			}, both)
		}
	})
	t.Run("503 to another request, and the other is dead", func(t *testing.T) {
		play(t, func(r *rig) {
			r.names.set("server.example", serverAddr, "10.1.0.3:5070") // where nobody is
			x := r.dial("10.0.0.2", coreSide)
			x.send(request("PUBLISH", "sip:bob@ims.example", viaTCP("p1")))
			r.server.send(serverSide, reply(r.server.want("PUBLISH"), "503 Busy", "Retry-After: 120"))
			if got := x.want("SIP/2.0 503"); !strings.Contains(got, "\nRetry-After: 120") {
				t.Error(got)
			}
		}, func(c *Config) { c.Server = "sip:server.example" })
	})
	t.Run("silence", func(t *testing.T) {
		play(t, func(r *rig) {
			r.names.set("core.example", coreAddr, second)
			other := r.peer(second)
			r.monitor.verdict = gone
			r.server.send(serverSide, msg)
			r.core.want("NOTIFY")
			r.pass(14*time.Second + 2*transaction.Tick)
			other.want("NOTIFY")
			r.core.nothing()
			r.pass(14 * time.Second)
			r.server.want("SIP/2.0 100")
			r.server.want("SIP/2.0 481")
			if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY timeout 0 late=false" {
				t.Error(s)
			}
		}, both)
	})
	t.Run("all dead", func(t *testing.T) {
		play(t, func(r *rig) {
			r.names.set("core.example", "tcp/"+coreAddr, second, "10.0.0.4:5060")
			_ = r.core.conn.Close()
			r.monitor.verdict = gone
			r.server.send(serverSide, msg)
			r.server.want("SIP/2.0 481")
			if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY unreachable 0 late=false" {
				t.Error(s)
			}
		}, both)
	})
}

func branchOf(t *testing.T, msg string) draft.Branch {
	t.Helper()
	b, ok := draft.ParseBranch([]byte(ourBranch.FindString(msg)))
	if !ok {
		t.Fatal("no branch of ours in ", msg)
	}
	return b
}

// TestTableFull goes on without records, and without growing.
func TestTableFull(t *testing.T) {
	play(t, func(r *rig) {
		for i := range 20 {
			r.server.send(serverSide, strings.Replace(notify(), "server1", fmt.Sprint("server", i), 1))
			got := r.core.want("NOTIFY")
			if i == 15 {
				r.core.send(coreSide, reply(got, "200 OK"))
				r.server.want("SIP/2.0 200")
			}
		}
		if n := r.s.table.Len(); n != 10 {
			t.Error(n)
		}
	}, func(c *Config) { c.MaxTransactions = 10 })
}

// TestDrain waits for what is open, no longer than it may, and forwards meanwhile.
func TestDrain(t *testing.T) {
	play(t, func(r *rig) {
		r.server.send(serverSide, notify())
		got := r.core.want("NOTIFY")
		left := make(chan int)
		go func() { left <- r.s.Drain(r.Context()) }()
		r.pass(time.Second)
		select {
		case <-left:
			t.Fatal("did not wait")
		default:
		}
		r.core.send(coreSide, reply(got, "200 OK"))
		r.server.want("SIP/2.0 200")
		if n := <-left; n != 0 {
			t.Error(n)
		}
	})
}

// TestWeather loses, doubles and reorders more than half of all datagrams for a
// hundred NOTIFYs of a server that retransmits, and every one is told of once and ends once.
func TestWeather(t *testing.T) {
	play(t, func(r *rig) {
		r.monitor.verdict = gone
		var mu sync.Mutex
		seen := map[string]int{}
		r.net.SetRule(func(d transporttest.Datagram) []time.Duration {
			mu.Lock()
			defer mu.Unlock()
			key := d.From.String() + plain(string(d.Bytes))
			seen[key]++
			switch (int(crc32.ChecksumIEEE([]byte(key))%5) + seen[key]) % 5 { // no message is lost twice in a row
			case 1:
				return nil
			case 2:
				return []time.Duration{0, 30 * time.Millisecond}
			case 4:
				return []time.Duration{70 * time.Millisecond}
			}
			return []time.Duration{0}
		})
		const count = 100
		answered := map[string]string{}
		for _, wait := range []time.Duration{0, 500, 1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000, 4000} {
			r.pass(wait * time.Millisecond)
			for i := range count {
				id := fmt.Sprint("c", i)
				if answered[id] == "" {
					r.server.send(serverSide, strings.Replace(strings.Replace(notify(), "server1", "server"+id, 1), ": c1", ": "+id, 1))
				}
			}
			for got := r.core.poll(); got != ""; got = r.core.poll() {
				r.core.send(coreSide, reply(got, "200 OK"))
			}
			r.pass(200 * time.Millisecond)
			for got := r.server.poll(); got != ""; got = r.server.poll() {
				var m wire.Message
				if err := wire.Scan([]byte(got), &m); err != nil {
					t.Fatal(err)
				}
				id, _ := m.Value(wire.CallID)
				if m.Status >= 200 {
					answered[string(id)] = got
				}
			}
		}
		if len(answered) != count {
			t.Error(len(answered), "were answered")
		}
		slices.Sort(r.monitor.seen)
		begun, ended := 0, 0
		for _, s := range r.monitor.seen {
			if strings.HasPrefix(s, "NOTIFY c") {
				begun++
			}
			if s == "NOTIFY responded 200 late=false" {
				ended++
			}
		}
		if begun != count || ended != count {
			t.Error(begun, ended)
		}
	})
}
