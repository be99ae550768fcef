package ladder

import (
	"fmt"
	"testing"
	"time"

	"rewatch/policy"
)

func keep(l *Ladders, aor string, after time.Duration, n int) {
	l.Keep(aor, policy.Broken{Event: "presence", Since: dawn.Add(after)}, Kept{n, dawn.Add(after)}, step(after, "200 OK, kept"))
}

// A delivery shows what is kept and what was tried, and is over when nothing waits. It
// does not follow what the policy decides, which is about recoveries.
func TestDelivery(t *testing.T) {
	l := New()
	keep(l, alice, 0, 1)
	keep(l, alice, time.Second, 2)
	l.Trace(alice, step(5*time.Second, "try 1"))
	l.Follow(alice, policy.State{Phase: policy.Exhausted}, policy.State{Phase: policy.Exhausted}, policy.Event{}, []policy.Action{{Kind: policy.GaveUp}}, 3)
	l.Align(alice, policy.State{Phase: policy.Idle})
	l.Left(alice, dawn.Add(6*time.Second), ResultDelivered, Kept{1, dawn})
	if v := l.Views(); len(v) != 1 || !v[0].Delivery || v[0].Kept == nil || v[0].Kept.NOTIFYs != 1 || v[0].Ended != nil || len(v[0].Steps) != 3 {
		t.Fatalf("%+v", v)
	}
	l.Left(alice, dawn.Add(7*time.Second), ResultDelivered, Kept{})
	l.Left(alice, dawn.Add(8*time.Second), ResultDropped, Kept{})
	if v := l.Views()[0]; v.Kept != nil || v.Result != ResultDelivered || !v.Ended.Equal(dawn.Add(7*time.Second)) || !v.Started.Equal(dawn) {
		t.Errorf("%+v", v)
	}
	open(l, alice, 1, time.Hour)
	if v := l.Views(); len(v) != 2 || v[0].Delivery || len(v[0].Steps) != 0 {
		t.Errorf("a delivery of long ago became a recovery: %+v", v)
	}
}

// What was kept in vain becomes the recovery, with its steps.
func TestDeliveryInVain(t *testing.T) {
	for _, ended := range []bool{false, true} {
		l := New()
		keep(l, alice, 0, 1)
		if ended {
			l.Left(alice, dawn.Add(10*time.Minute), ResultGivenBack, Kept{})
		}
		open(l, alice, 4, 10*time.Minute)
		v := l.Views()
		if len(v) != 1 || v[0].Delivery || v[0].Ended != nil || v[0].Result != "" || v[0].Of != 3 || len(v[0].Steps) != 1 {
			t.Errorf("ended %v: %+v", ended, v)
		}
	}
}

// What is kept while a recovery runs is shown with it.
func TestKeptInARecovery(t *testing.T) {
	l := New()
	open(l, alice, 1, 0)
	keep(l, alice, time.Second, 1)
	if v := l.Views(); len(v) != 1 || v[0].Delivery || v[0].Kept == nil {
		t.Errorf("%+v", v)
	}
	l.Left(alice, dawn, ResultDelivered, Kept{})
	if v := l.Views()[0]; v.Kept != nil || v.Ended != nil {
		t.Errorf("%+v", v)
	}
}

// Deliveries leave the recoveries their room.
func TestDeliveriesAreBounded(t *testing.T) {
	l := New()
	open(l, alice, 1, 0)
	for i := range 3 * maxDeliveries {
		keep(l, fmt.Sprint("sip:u", i), time.Duration(i), 1)
	}
	v := l.Views()
	if len(v) != maxDeliveries+1 || v[0].AOR != fmt.Sprint("sip:u", 3*maxDeliveries-1) || v[maxDeliveries].AOR != alice {
		t.Errorf("%d, the first is %s, the last %s", len(v), v[0].AOR, v[len(v)-1].AOR)
	}
}
