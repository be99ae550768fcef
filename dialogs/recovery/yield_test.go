package recovery_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/policy"
)

// Two replicas have a MESSAGE for one user, and one of them was cut off from the store
// when it decided so. If the store is there again when its turn comes, and the other has
// sent the MESSAGE, it sends none.
func TestReplicaYieldsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.MessageRate = 1
		hub, seats, rigs := replicas(t, 2, cfg)
		hub.cut(true, seats[0])
		for i := range 6 { // these have their turns first
			rigs[0].Offer(fmt.Sprintf("sip:user-%d@ims.example", i), policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1")})
		}
		rigs[0].at(100 * time.Millisecond)
		rigs[0].offer(policy.NotifyFailed, "bob", "call-1")
		rigs[1].offer(policy.NotifyFailed, "bob", "call-1")
		rigs[0].at(6*time.Second + 490*time.Millisecond) // their turn is 10 ms later
		if s, _ := rigs[0].State(alice); s.Phase != policy.Notifying || s.Transmitted {
			t.Fatalf("its turn has come: %+v", s)
		}
		hub.cut(false, seats[0])
		rigs[0].at(8 * time.Second)
		if n := rigs[0].lines("MESSAGE 1 of 3 to " + alice); n != 0 {
			t.Errorf("the MESSAGE was sent once more")
		}
		if n := rigs[1].lines("MESSAGE 1 of 3 to " + alice); n != 1 {
			t.Errorf("the other has sent %d MESSAGEs", n)
		}
		stopAll(rigs)
	})
}
