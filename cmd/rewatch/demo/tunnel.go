package demo

import (
	"context"
	"time"

	"rewatch/integration/peers"
)

const (
	doraAOR = "sip:dora@ims.example"
	erinAOR = "sip:erin@ims.example"

	kept      = `rewatch_redeliver_kept`
	delivered = `rewatch_redelivered_total{result="delivered"}`
	replaced  = `rewatch_redelivered_total{result="replaced"}`
)

// keeping turns redelivery on, for standard clients.
var keeping = []variable{{"REWATCH_REDELIVER", "10m"}}

// tunnel is Dora's story: a phone without network for a while. A second rewatch, with
// redelivery, keeps what Dora misses, and delivers the newest of it.
func (st *stage) tunnel(ctx context.Context) error {
	st.flow.chapter("4. Dora is in a tunnel. A rewatch with REWATCH_REDELIVER=10m keeps the state of Erin.", "dora", nil)
	st.core.SetAS(st.keeper.coreSide)
	if err := st.signIn(ctx, st.dora, erinAOR); err != nil {
		return err
	}
	if err := st.until(ctx, "Dora's first NOTIFY", func() bool { return st.lastNotify(doraAOR) == 200 }); err != nil {
		return err
	}
	before := st.server.Subscriptions(doraAOR)
	since := time.Now()
	err := st.goThrough(ctx)
	st.checkTunnel(ctx, before, since)
	st.flow.after(func() {})
	return err
}

// goThrough has Erin change twice while Dora hears nothing.
func (st *stage) goThrough(ctx context.Context) error {
	st.core.Break(doraAOR, peers.LoseNotify())
	st.flow.note(lanePhone, "no network", telling)
	st.server.Publish(erinAOR, "closed")
	err := st.until(ctx, "the keeping of a NOTIFY to Dora", func() bool { return st.keeper.metric(ctx, kept) == 1 })
	if err != nil {
		return err
	}
	st.flow.note(laneRewatch, "kept for the phone", own)
	st.server.Publish(erinAOR, "open")
	err = st.until(ctx, "the newer state in its place", func() bool { return st.keeper.metric(ctx, replaced) == 1 })
	if err != nil {
		return err
	}
	st.flow.note(laneRewatch, "the newer state in its place", own)
	st.flow.after(func() {}) // what the server has sent is drawn as far as it came
	st.core.Heal(doraAOR)
	st.flow.note(lanePhone, "network again", telling)
	st.out = time.Now()
	if err := accepted("REGISTER", st.dora)(st.dora.Register(ctx)); err != nil {
		return err
	}
	return st.until(ctx, "the newest state at Dora's phone", func() bool {
		return st.dora.Status(erinAOR) == "open" && st.keeper.metric(ctx, delivered) == 1
	})
}

// lastNotify is the status of the last NOTIFY to a watcher with one subscription.
func (st *stage) lastNotify(watcher string) int {
	if subs := st.server.Subscriptions(watcher); len(subs) == 1 {
		return subs[0].LastNotify
	}
	return 0
}

func (st *stage) checkTunnel(ctx context.Context, before []peers.Subscription, since time.Time) {
	after := st.server.Subscriptions(doraAOR)
	st.check("Dora: MESSAGEs", 0, len(st.dora.Messages()))
	st.check("Dora: new SUBSCRIBEs", 0, len(st.seen.of(sighting{peer: "core", method: "SUBSCRIBE", after: since})))
	st.check("Dora: the server has its subscription still", true,
		len(before) == 1 && len(after) == 1 && before[0].CallID == after[0].CallID)
	st.check("Dora: the server's NOTIFYs were answered", 200, st.lastNotify(doraAOR))
	st.check("Dora sees that Erin is", "open", st.dora.Status(erinAOR))
	st.check("Dora: NOTIFYs after the tunnel", 1, st.dora.Notified()-1)
	at := st.seen.first(sighting{peer: "core", method: "NOTIFY", status: 200, text: "<" + doraAOR, after: st.out})
	st.check("Dora: newest state within 2 s of the REGISTER", true, !at.IsZero() && at.Sub(st.out) < 2*time.Second)
	st.check("rewatch: delivered", 1, st.keeper.metric(ctx, delivered))
	st.check("rewatch: recoveries of Dora's", 0, st.keeper.metric(ctx, recovered)+st.keeper.metric(ctx, exhausted))
}
