package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// zone answers from memory, after a little while. What it does not list does not
// exist; what it lists in errs gets that error.
type zone struct {
	mu      sync.Mutex
	records map[string][]Record // "A ims.example"
	errs    map[string]error
	asked   []string
	delay   time.Duration
}

var types = map[dnsmessage.Type]string{
	dnsmessage.TypeA: "A", dnsmessage.TypeAAAA: "AAAA", dnsmessage.TypeSRV: "SRV", TypeNAPTR: "NAPTR",
}

func (z *zone) Exchange(ctx context.Context, name string, typ dnsmessage.Type) ([]Record, error) {
	q := types[typ] + " " + name
	z.mu.Lock()
	z.asked = append(z.asked, q)
	records, err, delay := z.records[q], z.errs[q], z.delay
	z.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, ErrNoRecord
	}
	return records, nil
}

func (z *zone) count() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.asked)
}

func (z *zone) set(f func()) {
	z.mu.Lock()
	f()
	z.mu.Unlock()
}

func addr(s string, ttl ...time.Duration) Record {
	return Record{Addr: netip.MustParseAddr(s), TTL: slices.Concat(ttl, []time.Duration{time.Minute})[0]}
}

func srv(priority, weight, port uint16, name string) Record {
	return Record{Priority: priority, Weight: weight, Port: port, Name: name, TTL: time.Minute}
}

func naptrRecord(order, pref uint16, flags, service, name string) Record {
	return Record{Order: order, Preference: pref, Flags: flags, Service: service, Name: name, TTL: time.Minute}
}

func list(hops []Hop) string {
	var s []string
	for _, h := range hops {
		s = append(s, h.Transport.String()+" "+h.Addr.String())
	}
	return strings.Join(s, ", ")
}

func target(t *testing.T, uri string) Target {
	t.Helper()
	tg, err := ParseURI([]byte(uri))
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

func ims() *zone {
	return &zone{records: map[string][]Record{
		"NAPTR ims.example": {
			naptrRecord(20, 10, "S", "sip+d2t", "_sip._tcp.ims.example"),
			naptrRecord(10, 20, "s", "SIP+D2U", "_sip._udp.ims.example"),
			naptrRecord(5, 1, "s", "SIPS+D2T", "_sips._tcp.ims.example"),
			naptrRecord(1, 1, "a", "SIP+D2U", "wrong.example"),
			naptrRecord(1, 1, "s", "E2U+sip", "wrong.example"),
			naptrRecord(1, 1, "s", "SIP+D2W", "wrong.example"),
		},
		"SRV _sip._udp.ims.example":  {srv(20, 0, 5080, "b.ims.example"), srv(10, 0, 5070, "a.ims.example")},
		"SRV _sip._tcp.ims.example":  {srv(10, 0, 5071, "a.ims.example")},
		"SRV _sips._tcp.ims.example": {srv(10, 0, 5073, "a.ims.example")},
		"A a.ims.example":            {addr("192.0.2.1")},
		"AAAA a.ims.example":         {addr("2001:db8::1")},
		"A b.ims.example":            {addr("192.0.2.2")},
		"A ims.example":              {addr("192.0.2.9")},
		"SRV _sip._udp.plain.example": {
			srv(1, 0, 5060, "192.0.2.77"), srv(2, 0, 5060, "gone.example"),
		},
		"SRV _sip._tcp.plain.example": {srv(1, 0, 5065, "b.ims.example")},
		"A host.example":              {addr("192.0.2.5"), addr("192.0.2.6")},
		"NAPTR safe.example": {
			naptrRecord(1, 1, "s", "SIP+D2U", "_sip._udp.safe.example"), naptrRecord(2, 1, "s", "SIPS+D2T", "_sips._tcp.hosting.example"),
		},
		"SRV _sips._tcp.hosting.example": {srv(1, 0, 5099, "b.ims.example")},
		"A safe.example":                 {addr("192.0.2.10")},
		"SRV _sip._udp.off.example":      {srv(0, 0, 0, "")},
		"A off.example":                  {addr("192.0.2.8")},
	}}
}

func TestResolve(t *testing.T) {
	tests := []struct{ uri, want string }{
		{"sip:192.0.2.3", "udp 192.0.2.3:5060"},
		{"sip:192.0.2.3;transport=tls", "tls 192.0.2.3:5061"},
		{"sips:192.0.2.3:5070", "tls 192.0.2.3:5070"},
		{"sip:[2001:db8::5];transport=tcp", "tcp [2001:db8::5]:5060"},
		{"sip:[::ffff:192.0.2.3]", "udp 192.0.2.3:5060"},
		{"sip:host.example:5090", "udp 192.0.2.5:5090, udp 192.0.2.6:5090"},
		{"sip:host.example:5090;transport=tcp", "tcp 192.0.2.5:5090, tcp 192.0.2.6:5090"},
		{"sip:ims.example;transport=udp", "udp 192.0.2.1:5070, udp [2001:db8::1]:5070, udp 192.0.2.2:5080"},
		{"sip:ims.example;transport=tls", "tls 192.0.2.1:5073, tls [2001:db8::1]:5073"},
		{"sips:ims.example", "tls 192.0.2.1:5073, tls [2001:db8::1]:5073"},
		{"sips:safe.example", "tls 192.0.2.2:5099"},
		{"sips:safe.example;transport=tcp", "tls 192.0.2.10:5061"},
		{"sip:ims.example", "tls 192.0.2.1:5073, tls [2001:db8::1]:5073, " +
			"udp 192.0.2.1:5070, udp [2001:db8::1]:5070, udp 192.0.2.2:5080, tcp 192.0.2.1:5071, tcp [2001:db8::1]:5071"},
		{"sip:plain.example", "udp 192.0.2.77:5060, tcp 192.0.2.2:5065"},
		{"sip:host.example", "udp 192.0.2.5:5060, udp 192.0.2.6:5060"},
		{"sip:host.example;transport=tcp", "tcp 192.0.2.5:5060, tcp 192.0.2.6:5060"},
		{"sips:host.example", "tls 192.0.2.5:5061, tls 192.0.2.6:5061"},
	}
	for _, tt := range tests {
		t.Run(tt.uri, func(t *testing.T) {
			r := New(Config{Exchange: ims()})
			tg := target(t, tt.uri)
			hops, ttl, err := r.Resolve(context.Background(), tg)
			if err != nil || list(hops) != tt.want || ttl <= 0 || ttl > maxTTL {
				t.Errorf("got %s, %v, %v", list(hops), ttl, err)
			}
			if len(hops) > 0 && hops[0].ServerName != tg.Host {
				t.Errorf("server name %s", hops[0].ServerName)
			}
			if err := r.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is not there is known for a little while, and what got no answer for less;
// neither keeps the rest of the search from being made.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := ims()
		z.errs = map[string]error{
			"NAPTR host.example": errors.New("no answer"), "SRV _sip._udp.host.example": errors.New("SERVFAIL"),
			"A lame.example": errors.New("SERVFAIL"),
		}
		r := New(Config{Exchange: z})
		ctx := context.Background()
		if hops, _, err := r.Resolve(ctx, Target{Host: "host.example"}); err != nil || len(hops) != 2 {
			t.Errorf("%s, %v", list(hops), err)
		}
		for _, tt := range []struct {
			host  string
			known bool
			hold  time.Duration
		}{{"nowhere.example", true, failTTL}, {"lame.example", false, vagueTTL}} {
			tg := Target{Host: tt.host, Port: 5060}
			_, ttl, err := r.Resolve(ctx, tg)
			if err == nil || errors.Is(err, ErrNoRecord) != tt.known || ttl != tt.hold {
				t.Errorf("%s: %v for %v", tt.host, err, ttl)
			}
			n := z.count()
			if _, _, again := r.Resolve(ctx, tg); again == nil || z.count() != n {
				t.Errorf("%s: asked again, %v", tt.host, again)
			}
			time.Sleep(tt.hold)
			if _, _, _ = r.Resolve(ctx, tg); z.count() == n {
				t.Errorf("%s: not asked again", tt.host)
			}
		}
	})
}

func TestTTLBounds(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		0: minTTL, time.Second: minTTL, 42 * time.Second: 42 * time.Second, time.Hour: maxTTL,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := New(Config{Exchange: &zone{records: map[string][]Record{
				"A h": {addr("192.0.2.1", ttl), addr("192.0.2.2", time.Hour)},
			}}})
			if _, got, err := r.Resolve(context.Background(), Target{Host: "h", Port: 1}); got != want || err != nil {
				t.Errorf("%v: %v, %v", ttl, got, err)
			}
		})
	}
}

func TestLookupNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := ims()
		z.delay = time.Second
		r := New(Config{Exchange: z})
		tg := Target{Host: "host.example", Port: 5060}
		start := time.Now()
		var got []string
		for i := range 5 {
			if hops, ok := r.Lookup(tg); ok {
				t.Errorf("known already: %s", list(hops))
			}
			r.Await(tg, 7, func(hops []Hop, err error) { got = append(got, fmt.Sprint(i, " ", len(hops), err)) })
		}
		if !time.Now().Equal(start) {
			t.Errorf("waited %v", time.Since(start))
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !slices.Equal(got, []string{"0 2 <nil>", "1 2 <nil>", "2 2 <nil>", "3 2 <nil>", "4 2 <nil>"}) {
			t.Errorf("called back %q", got)
		}
		if n := z.count(); n != 2 { // A and AAAA, once
			t.Errorf("asked %d: %v", n, z.asked)
		}
		r.Await(tg, 7, func(hops []Hop, _ error) { got = append(got, list(hops)) })
		if hops, ok := r.Lookup(tg); !ok || len(got) != 6 || got[5] != list(hops) {
			t.Errorf("%v, %v", ok, got)
		}
	})
}

func TestStaleWhileRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const q = "A host.example"
		z := ims()
		r := New(Config{Exchange: z})
		tg := Target{Host: "host.example", Port: 5060}
		if _, _, err := r.Resolve(context.Background(), tg); err != nil {
			t.Fatal(err)
		}
		look := func() string {
			hops, ok := r.Lookup(tg)
			if !ok {
				r.Await(tg, 0, func([]Hop, error) {})
			}
			synctest.Wait()
			return list(hops)
		}
		const old, fresh = "udp 192.0.2.5:5060, udp 192.0.2.6:5060", "udp 192.0.2.55:5060"
		z.set(func() { z.records[q] = []Record{addr("192.0.2.55")} })
		time.Sleep(59 * time.Second)
		if got := look(); got != old || z.count() != 2 {
			t.Errorf("fresh: %s", got)
		}
		time.Sleep(2 * time.Second)
		if got := look(); got != old {
			t.Errorf("stale: %s", got)
		}
		if got := look(); got != fresh {
			t.Errorf("refreshed: %s", got)
		}
		z.set(func() { z.errs = map[string]error{q: errors.New("SERVFAIL")} })
		time.Sleep(30 * time.Minute)
		look()
		if got := look(); got != fresh {
			t.Errorf("name server down: %s", got)
		}
		time.Sleep(time.Hour)
		if got := look(); got != "" {
			t.Errorf("too old: %s", got)
		}
		z.set(func() { z.errs = nil })
		time.Sleep(time.Minute)
		look()
		if got := look(); got != fresh {
			t.Errorf("back: %s", got)
		}
		z.set(func() { delete(z.records, q) })
		time.Sleep(time.Minute)
		look()
		if got := look(); got != "" {
			t.Errorf("gone: %s", got)
		}
	})
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{delay: time.Second}
		evicted := 0
		r := New(Config{Exchange: z, MaxEntries: 10, Evicted: func() { evicted++ }})
		ask := func(name string) {
			r.Await(Target{Host: name, Port: 1}, 7, func([]Hop, error) {})
			time.Sleep(3 * time.Second)
		}
		for i := range 50 {
			ask(fmt.Sprint("i", i))
		}
		if len(r.cache) != 10 || r.cache[Target{Host: "i49", Port: 1}] == nil || evicted != 40 {
			t.Errorf("%d entries, %d have made room", len(r.cache), evicted)
		}
		z.set(func() { z.records = map[string][]Record{"A known": {addr("192.0.2.1", time.Hour)}} })
		ask("known")
		for i := range 50 {
			ask(fmt.Sprint("j", i))
		}
		if r.cache[Target{Host: "known", Port: 1}] == nil {
			t.Error("a name that there is has made room for inventions")
		}
	})
}

func TestShutdownEndsSearches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{Exchange: &zone{delay: time.Hour}})
		var got error
		r.Await(Target{Host: "h", Port: 1}, 7, func(_ []Hop, err error) { got = err })
		if err := r.Shutdown(context.Background()); err != nil || !errors.Is(got, ErrClosed) {
			t.Errorf("%v, waiter got %v", err, got)
		}
		if _, _, err := r.Resolve(context.Background(), Target{Host: "i", Port: 1}); !errors.Is(err, ErrClosed) {
			t.Errorf("after shutdown: %v", err)
		}
	})
}

func TestResolveContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{Exchange: &zone{delay: time.Hour}})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, _, err := r.Resolve(ctx, Target{Host: "h", Port: 1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if err := r.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
