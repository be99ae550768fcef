package redis

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy"
)

func TestParseURL(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]Config{
		"redis://redis":                       {Addrs: []string{"redis:6379"}},
		"redis://[2001:db8::1]:7000/3":        {Addrs: []string{"[2001:db8::1]:7000"}, Database: 3},
		"redis://[2001:db8::1]":               {Addrs: []string{"[2001:db8::1]:6379"}},
		"redis://:p%40ss@127.0.0.1:1/":        {Addrs: []string{"127.0.0.1:1"}, Password: "p@ss"},
		"redis://me:p:w@h?prefix=blue":        {Addrs: []string{"h:6379"}, User: "me", Password: "p:w", Prefix: "blue"},
		"redis://h?password_file=" + secret:   {Addrs: []string{"h:6379"}, Password: "from file"},
		"redis+sentinel://a,b:26380/mymaster": {Addrs: []string{"a:26379", "b:26380"}, Master: "mymaster"},
		"redis+sentinel://u:p@a/m/2":          {Addrs: []string{"a:26379"}, Master: "m", Database: 2, User: "u", Password: "p"},
		"redis+cluster://a:7000,b:7001":       {Addrs: []string{"a:7000", "b:7001"}, Cluster: true},
	} {
		if want.Prefix == "" {
			want.Prefix = "rewatch"
		}
		if got, err := ParseURL(raw); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %+v, %v\nwant %+v", raw, got, err, want)
		}
	}
	if c, err := ParseURL("rediss+cluster://a"); err != nil || c.TLS == nil {
		t.Errorf("rediss has no TLS: %+v, %v", c, err)
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, raw := range []string{
		"", "redis", "redis:", "http://h", "redis+magic://h", "redis://", "redis://:6379", "redis://h:0", "redis://h:x",
		"redis://a,b", "redis://h/x", "redis://h/-1", "redis://h/99999999", "redis://h?what=1", "redis://h?prefix=",
		"redis://h?prefix=%7Ba", "redis://h?ca=/nowhere", "rediss://h?ca=/nowhere", "redis://h?password_file=/nowhere",
		"redis+sentinel://h", "redis+sentinel://h/", "redis+cluster://h/1", "redis://%zz@h", "redis://h ost", "redis://h?%zz",
	} {
		if c, err := ParseURL(raw); err == nil {
			t.Errorf("%q is %+v", raw, c)
		}
	}
}

// A key leads back to what it was made of, whatever that is.
func TestKeys(t *testing.T) {
	s := New(Config{Addrs: []string{"127.0.0.1:1"}, Prefix: "p*[x]", Instance: "pod-1"})
	defer func() { _ = s.Close() }()
	for _, name := range []string{"sip:a@b", "}", "{}", "a\x00b", ""} {
		if got, ok := inBraces(s.userKey(name), s.users); !ok || got != name {
			t.Errorf("%q became %q, %v", name, got, ok)
		}
		key := s.entryKey(store.KindSubscription, name)
		if got, ok := inBraces(key, s.kindPrefix(store.KindSubscription)); !ok || got != name {
			t.Errorf("%q became %q, %v", name, got, ok)
		}
	}
	if got := glob("p*[x]:"); got != `p\*\[x\]:{*` {
		t.Errorf("the pattern is %s", got)
	}
}

// A state outlives whatever it waits for.
func TestLifetime(t *testing.T) {
	now := time.Now()
	for _, s := range []policy.State{
		{},
		{Deadline: now.Add(time.Minute)},
		{Deadline: now.Add(-time.Hour)},
		{Deadline: now.Add(time.Second), BannedUntil: now.Add(2 * time.Hour), ForgetAt: now.Add(time.Hour)},
	} {
		d := lifetime(s, now)
		for _, at := range []time.Time{now, s.Deadline, s.BannedUntil, s.ForgetAt} {
			if !now.Add(d).After(at) {
				t.Errorf("%+v lasts %s", s, d)
			}
		}
	}
}

// After some errors nobody waits any more, until a probe finds Redis well.
func TestCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("i/o timeout")
		var well atomic.Bool
		var probes atomic.Int32
		asked := 0
		c := newCircuit(func(context.Context) error {
			probes.Add(1)
			if !well.Load() {
				return broken
			}
			return nil
		})
		ask := func() error {
			return c.do(t.Context(), func(context.Context) error {
				asked++
				if !well.Load() {
					return broken
				}
				return nil
			})
		}
		for range 10 {
			if err := ask(); !errors.Is(err, broken) {
				t.Errorf("asked: %v", err)
			}
		}
		if asked != patience {
			t.Errorf("asked %d times, want %d", asked, patience)
		}
		if err := ask(); !errors.Is(err, ErrAway) {
			t.Errorf("asked: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := probes.Load(); n < 20 || n > 70 {
			t.Errorf("%d probes in a minute", n)
		}
		well.Store(true)
		time.Sleep(2 * lastProbe)
		synctest.Wait()
		if err := ask(); err != nil {
			t.Errorf("asked: %v", err)
		}
		// A caller that has asked by itself, and was answered, need not wait for the next probe.
		well.Store(false)
		for range patience {
			_ = ask()
		}
		if err := c.ask(t.Context()); !errors.Is(err, broken) {
			t.Errorf("probed: %v", err)
		}
		well.Store(true)
		if err := ask(); !errors.Is(err, ErrAway) {
			t.Errorf("asked: %v", err)
		}
		if err := errors.Join(c.ask(t.Context()), ask()); err != nil {
			t.Errorf("asked: %v", err)
		}
		before := probes.Load()
		time.Sleep(time.Minute)
		if n := probes.Load() - before; n != 0 {
			t.Errorf("%d probes of what is well", n)
		}
		c.stop()
	})
}

// Whatever Redis says, it is decoded to what is written the same way, or an error.
func FuzzDecode(f *testing.F) {
	state, err := store.EncodeState(policy.State{Sent: 2, Broken: make([]policy.Broken, 2)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("1700000000000000", string(state))
	f.Add("0", "{}")
	f.Add("x", string(store.AppendEntry(nil, store.Entry{Value: []byte("v"), Until: time.Unix(7, 0)})))
	f.Fuzz(func(t *testing.T, version, value string) {
		r, err := decodeRecord("sip:a@b", []any{version, value, "pod-1"}, "pod-1")
		if err == nil {
			if r.Version == 0 {
				t.Fatalf("%+v has no version", r)
			}
			again, err := store.EncodeState(r.State)
			if err != nil {
				t.Fatalf("%+v was read and cannot be written: %v", r, err)
			}
			if back, err := store.DecodeState(again); err != nil || !back.Equal(r.State) {
				t.Fatalf("%+v became %+v, %v", r.State, back, err)
			}
		}
		if e, ok := store.ReadEntry(store.KindAlarm, "k", []byte(value)); ok && string(store.AppendEntry(nil, e)) != value {
			t.Fatalf("%+v is not what it was", e)
		}
	})
}

// Between two pages Redis serves others for as long as the last one took, within bounds.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for took, want := range map[time.Duration]time.Duration{0: 0, 10 * time.Millisecond: 10 * time.Millisecond, time.Minute: longestRest} {
			began := time.Now()
			if err := rest(t.Context(), took); err != nil || time.Since(began) != want {
				t.Errorf("after %s it rests %s, %v", took, time.Since(began), err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := rest(ctx, time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}
