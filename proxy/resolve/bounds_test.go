package resolve

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"rewatch/cmd/rewatch/budget/budgettest"
)

// plenty is the DNS of an attacker: each name has as long answers as are read, or none that
// one could use.
type plenty struct{ vain bool }

func (p plenty) Exchange(_ context.Context, name string, typ dnsmessage.Type) (list []Record, err error) {
	if p.vain {
		return nil, fmt.Errorf("name server answered %s", strings.Repeat("x", 60))
	}
	for i := range maxRecords {
		switch typ { //nolint:exhaustive // no other type is asked for
		case dnsmessage.TypeA, dnsmessage.TypeAAAA:
			list = append(list, Record{Addr: netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), TTL: maxTTL})
		case dnsmessage.TypeSRV:
			list = append(list, srv(uint16(i), 0, 5060, fmt.Sprint(i, name)))
		case TypeNAPTR:
			list = append(list, naptrRecord(uint16(i), 0, "s", "SIP+D2U", fmt.Sprint(i, name)))
		}
	}
	return list, nil
}

// longName is one of the longest names.
func longName(what string, i int) Target {
	name := fmt.Sprint(what, i, ".")
	return Target{Host: (name + strings.Repeat("xxxxxxxxx.", maxHost/10))[:maxHost-1] + "x"}
}

// filled fails where more is taken than is stated, or where it is not nearly full.
func filled(t *testing.T, r *Resolver, before int64) {
	t.Helper()
	grown := budgettest.Heap() - before
	t.Logf("%d MB of %d, %d names, %d wait", grown>>20, int64(Budget)>>20, len(r.cache), r.queue.waiting)
	if grown > Budget {
		t.Errorf("%d bytes are taken, %d are stated", grown, int64(Budget))
	}
	runtime.KeepAlive(r)
}

// Whatever names a peer invents and whatever their name servers say, a Resolver takes no
// more memory than is stated.
func TestMemoryIsBounded(t *testing.T) {
	for _, vain := range []bool{false, true} {
		t.Run(fmt.Sprint("in vain=", vain), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := budgettest.Heap()
				r := New(Config{Exchange: plenty{vain}})
				for i := range defaultEntries + 100 {
					r.Await(longName("a", i), uint64(1+i%50), func([]Hop, error) {})
					synctest.Wait()
				}
				if len(r.cache) != defaultEntries {
					t.Errorf("%d names", len(r.cache))
				}
				for _, e := range r.cache {
					if vain != (len(e.hops) == 0) || cap(e.hops) > 2*maxHops {
						t.Fatalf("%d hops, room for %d", len(e.hops), cap(e.hops))
					}
				}
				filled(t, r, before)
				_ = r.Shutdown(t.Context())
			})
		})
	}
}

// The same while all that may be asked for is, of name servers that begin a long answer and
// do not end it, and all that may wait does.
func TestMemoryIsBoundedMeanwhile(t *testing.T) {
	server := nameServer{answer: func(network string, m *dnsmessage.Message) []*dnsmessage.Message {
		r := *m
		r.Truncated = network == "udp"
		return []*dnsmessage.Message{&r}
	}}
	slow := func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "udp" {
			return server.dial(ctx, network, address)
		}
		ours, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Read(make([]byte, 512))
			_, _ = theirs.Write([]byte{tcpSize >> 8, 0})
			_, _ = theirs.Write(make([]byte, tcpSize-1))
			_, _ = theirs.Read(make([]byte, 1)) // until the other side closes
		}()
		return ours, nil
	}
	ex := system(t, &server, oneServer, "")
	ex.dial = slow
	synctest.Test(t, func(t *testing.T) {
		before := budgettest.Heap()
		r := New(Config{Exchange: ex})
		for i := range 3 * defaultFills {
			r.Await(longName("own", i), 0, func([]Hop, error) {})
		}
		for i := range 3 * maxQueued {
			r.Await(longName("strange", i), uint64(1+i%50), func([]Hop, error) {})
		}
		synctest.Wait()
		if r.queue.running != defaultFills || r.queue.waiting != maxQueued {
			t.Errorf("%d are asked for, %d wait", r.queue.running, r.queue.waiting)
		}
		filled(t, r, before)
		_ = r.Shutdown(t.Context())
		time.Sleep(time.Minute)
	})
}

// Of an answer as much is read as is of use.
func TestAnswersAreBounded(t *testing.T) {
	for n, want := range map[int]int{maxRecords: maxRecords, 500: maxRecords, 3000: 0} { // the last is above tcpSize
		n := nameServer{answer: func(network string, m *dnsmessage.Message) []*dnsmessage.Message {
			if network == "udp" {
				r := *m
				r.Truncated = true
				return []*dnsmessage.Message{&r}
			}
			bodies := make([]dnsmessage.ResourceBody, n)
			for i := range bodies {
				bodies[i] = &dnsmessage.AResource{A: [4]byte{192, 0, byte(i >> 8), byte(i)}}
			}
			return reply(m, bodies...)
		}}
		records, err := system(t, &n, oneServer, "").Exchange(t.Context(), "many.example", dnsmessage.TypeA)
		if len(records) != want || (err == nil) != (want > 0) {
			t.Errorf("%d records, want %d: %v", len(records), want, err)
		}
	}
}
