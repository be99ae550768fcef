//go:build integration

package integration

import (
	"syscall"
	"testing"
	"time"
)

// TestKeptByAReplicaThatIsGone: a replica is killed with a NOTIFY that it keeps, and does
// not come back. One of the others tells the phone, once, within REWATCH_REDELIVER and
// three minutes; the one that is started again after all tells nobody.
func TestKeptByAReplicaThatIsGone(t *testing.T) {
	t.Parallel()
	shared := newSite(t)
	settings := env{
		"REWATCH_STATE": shared.startRedis().url(), "REWATCH_REDELIVER": "10s", "REWATCH_RESUBSCRIBE_TIMEOUT": "10m",
		"REWATCH_OUTAGE_RATIO": "1",
	}
	stands := startStands(t, 3, settings)
	gone := stands[0]
	h := gone.c.handset(gone.n, "alice")
	gone.c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	h.misses(gone.n, 1)
	gone.r.kept()
	gone.r.signal(syscall.SIGKILL)
	_ = gone.r.wait(patience)
	eventually(t, 190*time.Second, "alice is told", func() bool { return requests(stands, "MESSAGE", "alice") == 1 })
	gone.r = gone.startRewatch(settings)
	holds(t, 5*time.Second, "one MESSAGE", func() bool { return requests(stands, "MESSAGE", "alice") == 1 })
	if resp := gone.n.notify(h.server, patience); resp == nil || resp.status != 481 {
		t.Errorf("the next NOTIFY: %v, want 481", resp)
	}
}
