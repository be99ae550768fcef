package uac

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// conduct is what a hop does with a request: "refused", or responses with the time from the
// request to each: "100 after 1s, 200 after 25s". Nothing is silence.
type conduct string

type scripted struct {
	status string
	after  time.Duration
}

func (c conduct) responses() (list []scripted) {
	for part := range strings.SplitSeq(string(c), ", ") {
		status, after, ok := strings.Cut(part, " after ")
		if !ok {
			continue
		}
		d, err := time.ParseDuration(after)
		if err != nil {
			panic(err)
		}
		list = append(list, scripted{status + " As Scripted", d})
	}
	return list
}

// offered is what became of a MESSAGE. asked says when each hop was asked for the first time,
// in seconds: "0 20".
type offered struct {
	status int
	err    error
	asked  string
	took   time.Duration
}

// offer sends a MESSAGE that may take so long to hops that conduct themselves so.
func offer(t *testing.T, within time.Duration, hops ...conduct) (o offered) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		seen := map[netip.AddrPort]bool{}
		var at func(a netip.AddrPort) conduct
		p := newPeer(t, nil)
		p.answer = func(_ int, s sent) []string {
			p.mu.Lock()
			again := seen[s.hop.Addr]
			seen[s.hop.Addr] = true
			if !again {
				o.asked += fmt.Sprint(s.at.Round(time.Second).Seconds()) + " "
			}
			p.mu.Unlock()
			if again {
				return nil
			}
			for _, r := range at(s.hop.Addr).responses() {
				time.Sleep(r.after - (time.Since(p.start) - s.at))
				p.client.Receive([]byte(respond(s, r.status)))
			}
			return nil
		}
		p.hops["sip:core.ims.example"] = nil
		byAddr := map[netip.AddrPort]conduct{}
		at = func(a netip.AddrPort) conduct { return byAddr[a] }
		for i, c := range hops {
			h := Hop{Hop: resolve.Hop{Transport: wire.UDP, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 5060)}}
			h.Either = strings.HasSuffix(string(c), "either")
			byAddr[h.Addr], p.down[h.Addr] = c, strings.HasPrefix(string(c), "refused")
			p.hops["sip:core.ims.example"] = append(p.hops["sip:core.ims.example"], h)
		}
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		r := p.client.Message(ctx, alice)
		o.took = time.Since(p.start).Round(time.Second)
		o.status, o.err = r.Status, r.Err
		p.done()
	})
	o.asked = strings.TrimSpace(o.asked)
	return o
}

// TestShares: the time of a MESSAGE is shared among the hops that may be asked, as long as
// none has answered anything; a single hop has all of it. The first answer counts, whoever
// gives it, and the best where none is final.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		name   string
		within time.Duration
		hops   []conduct
		status int // 0: none
		asked  string
		took   time.Duration
	}{
		{"one is silent", 40 * time.Second, []conduct{""}, 0, "0", 32 * time.Second},
		{"one is slow", 40 * time.Second, []conduct{"200 after 31s"}, 200, "0", 31 * time.Second},
		{"silence, then an answer", 40 * time.Second, []conduct{"", "200 after 15s"}, 200, "0 20", 35 * time.Second},
		{"both are silent", 40 * time.Second, []conduct{"", ""}, 0, "0 20", 40 * time.Second},
		{"three are silent", 40 * time.Second, []conduct{"", "", ""}, 0, "0 16 32", 40 * time.Second},
		{"a short time", 10 * time.Second, []conduct{"", "200 after 1s"}, 0, "0", 10 * time.Second},
		{"the time of Timer F", 32 * time.Second, []conduct{"", "200 after 1s"}, 200, "0 16", 17 * time.Second},
		{"much time", 5 * time.Minute, []conduct{"", "200 after 1s"}, 200, "0 32", 33 * time.Second},
		{"refusal and silence", 40 * time.Second, []conduct{"refused", "200 after 31s"}, 200, "0", 31 * time.Second},
		{"503 and silence", 40 * time.Second, []conduct{"503 after 1s", "200 after 31s"}, 200, "0 1", 32 * time.Second},
		{"it is coming", 40 * time.Second, []conduct{"100 after 1s, 200 after 31s", "200 after 1s"}, 200, "0", 31 * time.Second},
		{"it was to come", 40 * time.Second, []conduct{"100 after 1s", "200 after 1s"}, 0, "0", 32 * time.Second},
		{"it is coming, then refused", 40 * time.Second, []conduct{"100 after 1s, 503 after 5s", "200 after 1s"}, 200, "0 5", 6 * time.Second},
		{"the second is coming", 40 * time.Second, []conduct{"", "100 after 1s, 200 after 18s", "200 after 1s"}, 200, "0 16", 34 * time.Second},
		{"the first is slow", 40 * time.Second, []conduct{"200 after 25s", ""}, 200, "0 20", 25 * time.Second},
		{"the first is slow, the phone has it", 40 * time.Second, []conduct{"200 after 25s", "482 after 1s", "200 after 1s"}, 200, "0 16", 25 * time.Second},
		{"a loop", 40 * time.Second, []conduct{"", "482 after 1s"}, 482, "0 20", 32 * time.Second},
		{"a loop at once", 40 * time.Second, []conduct{"482 after 1s", "200 after 1s"}, 482, "0", time.Second},
		{"503, and the other refuses", 40 * time.Second, []conduct{"503 after 1s", "refused"}, 503, "0", time.Second},
		{"503, and TCP of the other refuses", 40 * time.Second, []conduct{"refused either", "503 after 1s"}, 503, "0", time.Second},
		{"503, and silence", 40 * time.Second, []conduct{"503 after 1s", ""}, 503, "0 1", 33 * time.Second},
		{"silence, and the other refuses", 40 * time.Second, []conduct{"", "refused"}, 0, "0", 32 * time.Second},
		{"all refuse", 40 * time.Second, []conduct{"refused", "refused either"}, 0, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := offer(t, c.within, c.hops...)
			silent := o.status == 0 && c.took > 0
			if o.status != c.status || o.asked != c.asked || o.took != c.took || errors.Is(o.err, ErrTimeout) != silent {
				t.Errorf("%+v", o)
			}
		})
	}
}

// TestAnyConduct: whatever the hops do, the MESSAGE ends in its time, no hop is asked while
// the answer of another is coming, no hop is left out while there is time, and a response is
// never lost.
func TestAnyConduct(t *testing.T) {
	kinds := []conduct{"", "refused", "refused either", "503 after 1s", "404 after 2s", "200 after 3s", "200 after 15s", "100 after 2s", "100 after 2s, 200 after 9s"}
	random := rand.New(rand.NewPCG(12, 3)) //nolint:gosec // a test
	for range 300 {
		hops := make([]conduct, 1+random.IntN(3))
		for i := range hops {
			hops[i] = kinds[random.IntN(len(kinds))]
		}
		o := offer(t, 40*time.Second, hops...)
		// final is the first hop that ends it.
		final := slices.IndexFunc(hops, func(c conduct) bool { return strings.ContainsAny(string(c), "24") || c == "100 after 2s" })
		reached := hops
		if final >= 0 {
			reached = hops[:final+1]
		}
		want, n := 0, 0
		for _, c := range reached {
			if strings.HasPrefix(string(c), "refused") {
				continue
			}
			n++
			if list := c.responses(); len(list) > 0 {
				if s := list[len(list)-1].status[:3]; s != "100" {
					want = map[string]int{"200": 200, "404": 404, "503": 503}[s]
				}
			}
		}
		if got := len(strings.Fields(o.asked)); got != n || o.took > 40*time.Second {
			t.Errorf("%q: %+v", hops, o)
		}
		if late := n == 3 && o.took == 40*time.Second; o.status != want && !late || (o.status == 0) != (o.err != nil) {
			t.Errorf("%q: %+v, want %d", hops, o, want)
		}
	}
}
