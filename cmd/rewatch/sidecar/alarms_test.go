package sidecar

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/cmd/rewatch/config"
	"rewatch/policy/alarm"
)

func active(m *alarm.Manager, name string) int {
	n := 0
	for _, a := range m.Active() {
		if a.Name == name {
			n++
		}
	}
	return n
}

// A broken path is one alarm for each next hop, however often it is seen, and is over
// after a quarter of an hour without.
func TestRoutingFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := alarm.New(alarm.Config{})
		full := prometheus.NewCounter(prometheus.CounterOpts{Name: "full"})
		f := newRoutingFaults(m, full)
		one, two := netip.MustParseAddrPort("10.0.0.1:5060"), netip.MustParseAddrPort("10.0.0.2:5060")
		for range 10 {
			f.saw(one, "alice", 482)
			f.cameBack(two, "alice")
		}
		if n := active(m, alarm.RoutingFault); n != 0 {
			t.Errorf("%d alarms by the word of one user", n)
		}
		f.saw(one, "bob", 483)
		f.cameBack(two, "bob")
		if n := active(m, alarm.RoutingFault); n != 2 {
			t.Errorf("%d alarms", n)
		}
		time.Sleep(faultQuiet / 2)
		f.saw(one, "alice", 482)
		time.Sleep(faultQuiet/2 + time.Second)
		if n := active(m, alarm.RoutingFault); n != 1 {
			t.Errorf("%d alarms when one is over", n)
		}
		for i := range maxFaults + 5 {
			for _, user := range []string{"alice", "bob"} {
				f.saw(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 5060), user, 482)
			}
		}
		if n := active(m, alarm.RoutingFault); n != maxFaults {
			t.Errorf("%d alarms, want %d at most", n, maxFaults)
		}
		f.stop()
	})
}

// The alarm of a state file that was moved aside ends when somebody has taken it away.
func TestLostStateTakenAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db.unreadable")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := &process{alarms: alarm.New(alarm.Config{})}
		p.tellLostState(ctx)
		if n := active(p.alarms, alarm.StateLost); n != 0 {
			t.Errorf("%d alarms of nothing", n)
		}
		p.memory.lost = lostState{path, errors.New("damaged")}
		p.tellLostState(ctx)
		time.Sleep(5 * lostPause)
		if n := active(p.alarms, alarm.StateLost); n != 1 {
			t.Errorf("%d alarms", n)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * lostPause)
		synctest.Wait()
		if n := active(p.alarms, alarm.StateLost); n != 0 {
			t.Error("it stands though the file is gone")
		}
		p.watching.Wait()
		p.memory.lost.path = path + "2"
		p.tellLostState(ctx)
		cancel()
		p.watching.Wait()
	})
}

// A replica has the name that it is given, else that of its host, and is told from
// another one on the same host by what it serves.
func TestInstanceName(t *testing.T) {
	var cfg config.Config
	host, err := os.Hostname()
	if err != nil {
		t.Skip(err)
	}
	plain := instanceName(cfg)
	cfg.Proxy.Server.Raw = "sip:other"
	other := instanceName(cfg)
	cfg.State.Instance = "blue"
	named := instanceName(cfg)
	if plain == other || plain[:len(host)] != host || named[:len("blue-")] != "blue-" {
		t.Errorf("%s, %s, %s", plain, other, named)
	}
}
