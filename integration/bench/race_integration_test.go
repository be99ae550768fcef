//go:build integration

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rewatch/integration/load"
)

// TestRaceUnderLoad: the race detector has nothing to say while rewatch, on two
// processors and on as many as it chooses, carries as much as it can of everything, and
// recovers one user in ten meanwhile.
func TestRaceUnderLoad(t *testing.T) {
	l := &lab{dir: t.TempDir()}
	if err := l.compile(t.Context(), "rewatch", "rewatch/cmd/rewatch", "-race"); err != nil {
		t.Fatal(err)
	}
	l.rewatch = filepath.Join(l.dir, "rewatch")
	for i, c := range []struct {
		network string
		procs   int
	}{{"udp", 2}, {"tcp", 2}, {"udp", 0}} {
		t.Run(fmt.Sprintf("%s, %d", c.network, c.procs), func(t *testing.T) {
			network := c.network
			l := &lab{dir: l.dir, rewatch: l.rewatch, procs: c.procs}
			s := system{name: sysRewatch, network: network, net: load.Net("127.204." + string(rune('1'+i)))}
			s.env = []string{
				"REWATCH_NOTIFY_TIMEOUT=500ms", "REWATCH_RESUBSCRIBE_TIMEOUT=1s", "REWATCH_OUTAGE_RATIO=1",
				"REWATCH_STATE=file:" + filepath.Join(t.TempDir(), "state"),
			}
			r := &rig{block: &block{system: s.name, network: network}, lab: l, system: s}
			defer r.close()
			if err := r.open(t.Context(), load.Config{}); err != nil {
				t.Fatal(err)
			}
			if err := r.subscribe(t.Context(), 2000); err != nil {
				t.Fatal(err)
			}
			for _, k := range []load.Kind{load.Notify, load.Register, load.Subscribe, load.Notify} {
				p := load.Phase{Kind: k, Dialogs: 2000, First: r.first, Duration: time.Second}
				if k == load.Notify {
					p.Mute = 10
				}
				pt, err := r.run(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				if pt.counts.Answered == 0 {
					t.Errorf("%s: %s", k, pt.counts)
				}
			}
			r.proc.stop()
			if said := r.said(); strings.Contains(said, "DATA RACE") || r.proc.err != nil {
				t.Errorf("%v\n%s", r.proc.err, said)
			}
		})
	}
}
