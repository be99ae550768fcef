package budget

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"rewatch/cmd/rewatch/config"
)

func load(t *testing.T, environ map[string]string) config.Config {
	t.Helper()
	all := map[string]string{"REWATCH_SERVER": "sip:127.0.0.1:5070"}
	maps.Copy(all, environ)
	c, err := config.Load(all)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// everything is a configuration with every part.
var everything = map[string]string{
	"REWATCH_REDELIVER": "1h", "REWATCH_REGISTER_FALLBACK": "true", "REWATCH_HEP": "127.0.0.1:9060", "REWATCH_CAPTURE": "64MiB", "REWATCH_SIGNAL": "message,notify",
	"REWATCH_ALARM_WEBHOOK": "http://127.0.0.1/", "REWATCH_CORE": "sip:127.0.0.1:5071",
}

// Every part is told of, and their sum.
func TestText(t *testing.T) {
	parts := Of(load(t, everything))
	text := Text(parts)
	for _, part := range []string{
		size(Sum(parts)), "subscriptions", "recoveries", "transactions", "connections", "SIP path", "DNS", "alarms", "redelivery",
		"REGISTERs kept", "admin port", "captured messages", "mirror", "program",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
	t.Log(text)
	if less := Of(load(t, nil)); Sum(less) >= Sum(parts) || strings.Contains(Text(less), "mirror") {
		t.Error("what is off is counted")
	}
}

// A gigabyte, as the manifests of this repository have it, leaves room for some hundred
// thousand subscriptions; where too little is left it is said.
func TestShared(t *testing.T) {
	parts := Of(load(t, nil))
	if shared, ok := Shared(parts, 1<<30*9/10); !ok || shared < 250<<20 {
		t.Errorf("%d MiB are left of a gigabyte", shared>>20)
	}
	if shared, ok := Shared(parts, 256<<20); ok || shared != leastShared {
		t.Errorf("%d MiB are left of a quarter", shared>>20)
	}
	least := Least(parts)
	if shared, ok := Shared(parts, least); !ok || shared-leastShared > 1 {
		t.Errorf("%d bytes are left of the least", shared)
	}
	if _, ok := Shared(parts, least-4); ok {
		t.Error("less than the least is enough")
	}
}

// Whatever the tables want, together they take no more than the pool has, and what a table
// may take however full the others are is its own part.
func TestPool(t *testing.T) {
	const bytes, n, step = 1 << 20, 4, 1 << 10
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			var used [n]int64
			var full [n]bool
			tables := make([]*Table, n)
			for i := range tables {
				tables[i] = &Table{Usage: func() int64 { return used[i] }, Tighten: func(tight bool) { full[i] = tight }}
			}
			pool, changes := NewPool(bytes, tables...), 0
			pool.Changed = func(bool, int64) { changes++ }
			greedy := random.IntN(n)
			for range 20_000 {
				i := random.IntN(n)
				switch {
				case !full[i] && (i == greedy || random.IntN(3) > 0):
					used[i] += random.Int64N(step)
				case i != greedy:
					used[i] = max(0, used[i]-random.Int64N(step))
				}
				pool.check()
				if sum := used[0] + used[1] + used[2] + used[3]; sum > bytes+n*step {
					t.Fatalf("%d of %d bytes are used", sum, bytes)
				}
				for i := range used {
					if full[i] && used[i] < bytes/2/n {
						t.Fatalf("table %d is full with %d bytes", i, used[i])
					}
				}
			}
			if changes == 0 || used[greedy] < bytes/2/n {
				t.Errorf("%d changes, %d bytes", changes, used[greedy])
			}
		})
	}
}
