package demo

import (
	"context"
	"fmt"
	"time"

	"rewatch/integration/peers"
)

const threshold = 3 // the default of REWATCH_THRESHOLD

// recovery is Alice's story, the reference flow: the answer to one NOTIFY is
// lost, and rewatch has the phone subscribe again.
func (st *stage) recovery(ctx context.Context) error {
	flow := referenceFlow()
	st.flow.chapter("1. Alice watches Carol. One answer is lost, and rewatch brings Alice back.", "alice", flow)
	err := st.bringBack(ctx)
	seen := 0
	st.flow.after(func() { seen = flow.seen() })
	st.checkRecovery(ctx, seen)
	return err
}

func (st *stage) bringBack(ctx context.Context) error {
	st.core.Break(aliceAOR, peers.LoseResponses())
	if err := st.signIn(ctx, st.alice, carolAOR); err != nil {
		return err
	}
	err := st.until(ctx, "the end of Alice's broken subscription at the server", func() bool {
		return len(st.server.Ended()) > 0
	})
	if err != nil {
		return err
	}
	st.core.Heal(aliceAOR)
	st.flow.note(laneServer, "subscription gone", telling)
	st.server.Publish(carolAOR, "open") // nobody is told: there is no subscription
	err = st.until(ctx, "a NOTIFY to Alice that gets through", func() bool {
		subs := st.server.Subscriptions(aliceAOR)
		return len(subs) == 1 && subs[0].LastNotify == 200
	})
	if err != nil {
		return err
	}
	return st.until(ctx, "rewatch's own count of the recovery", func() bool {
		return st.rewatch.metric(ctx, recovered) == 1
	})
}

// signIn registers a phone, waits until the server knows, and subscribes to a resource.
func (st *stage) signIn(ctx context.Context, p *peers.Phone, resource string) error {
	if err := accepted("REGISTER", p)(p.Register(ctx)); err != nil {
		return err
	}
	err := st.until(ctx, "the third-party REGISTER of "+p.AOR(), func() bool { return st.server.Registered(p.AOR()) })
	if err != nil {
		return err
	}
	return accepted("SUBSCRIBE", p)(p.Subscribe(ctx, resource))
}

// accepted turns a phone's outcome that is not 200 into an error.
func accepted(method string, p *peers.Phone) func(int, error) error {
	return func(status int, err error) error {
		if err == nil && status != 200 {
			err = fmt.Errorf("%s of %s was answered %d", method, p.AOR(), status)
		}
		return err
	}
}

// threshold is Bob's story: Bob's NOTIFYs fail again and again, until rewatch gives
// up, signs Bob out and tells the administrator; then Bob returns.
func (st *stage) threshold(ctx context.Context) error {
	st.flow.chapter("2. Bob's answers are lost every time. After three MESSAGEs rewatch gives up.", "bob", nil)
	err := st.giveUp(ctx)
	st.checkGivingUp(ctx)
	if err != nil {
		return err
	}
	st.flow.chapter("3. Bob's network works again, and Bob signs in.", "bob", nil)
	back := time.Now()
	err = st.comeBack(ctx)
	st.checkReturn(ctx, back)
	st.flow.after(func() {})
	return err
}

func (st *stage) giveUp(ctx context.Context) error {
	st.core.Break(bobAOR, peers.LoseResponses())
	if err := st.signIn(ctx, st.bob, carolAOR); err != nil {
		return err
	}
	err := st.until(ctx, "Bob's de-registration at the core", func() bool { return len(st.core.Bindings(bobAOR)) == 0 })
	if err != nil {
		return err
	}
	err = st.until(ctx, "the alarm", func() bool { return len(st.alarms.raised(exhaustedAlarm, bobAOR)) > 0 })
	if err != nil {
		return err
	}
	// The core's echo of the de-REGISTER tells the server as well.
	return st.until(ctx, "the end of Bob's registration at the server", func() bool { return !st.server.Registered(bobAOR) })
}

func (st *stage) comeBack(ctx context.Context) error {
	st.core.Heal(bobAOR)
	if err := st.signIn(ctx, st.bob, carolAOR); err != nil {
		return err
	}
	return st.until(ctx, "the clearing of the alarm", func() bool { return len(st.alarms.cleared(exhaustedAlarm, bobAOR)) > 0 })
}
