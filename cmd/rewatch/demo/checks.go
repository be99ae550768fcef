package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rewatch/policy"
)

// The metrics and the alarm of rewatch that the summary looks at.
const (
	recovered      = `rewatch_recoveries_total{result="recovered"}`
	exhausted      = `rewatch_recoveries_total{result="exhausted"}`
	exhaustedAlarm = policy.AlarmExhausted
)

// check is one row of the summary: what was expected (want), and what was seen (got).
type check struct {
	what, want, got string
}

func (c check) ok() bool { return c.want == c.got }

func (st *stage) check(what string, want, got any) {
	st.checks = append(st.checks, check{what, fmt.Sprint(want), fmt.Sprint(got)})
}

func (st *stage) checkRecovery(ctx context.Context, steps int) {
	messages := st.alice.Messages()
	st.check("Alice: steps of the reference flow", referenceSteps, steps)
	st.check("Alice: the server got 481 before the MESSAGE left", true, st.answeredFirst())
	st.check("Alice: MESSAGEs", 1, len(messages))
	st.check("Alice: it names the lost subscription", true, len(messages) == 1 && names(messages[0], carolAOR))
	subs := st.server.Subscriptions(aliceAOR)
	st.check("Alice: subscriptions at the server", 1, len(subs))
	if ended := st.server.Ended(); len(subs) == 1 && len(ended) > 0 {
		st.check("Alice: it is a new one (Call-ID)", true, subs[0].CallID != ended[0].CallID)
		st.check("Alice: answer to its NOTIFY", 200, subs[0].LastNotify)
	}
	st.check("Alice sees that Carol is", "open", st.alice.Status(carolAOR))
	st.check("rewatch: recovered", 1, st.rewatch.metric(ctx, recovered))
}

func names(body, resource string) bool {
	return strings.HasPrefix(body, "Subscription lost") && strings.Contains(body, "\nResource: "+resource)
}

// answeredFirst says whether the subscription was ended at the server before the
// user was told.
func (st *stage) answeredFirst() bool {
	answered := st.seen.first(sighting{peer: "server", method: "NOTIFY", status: 481})
	told := st.seen.first(sighting{peer: "core", method: "MESSAGE"})
	return !answered.IsZero() && answered.Before(told)
}

func (st *stage) checkGivingUp(ctx context.Context) {
	st.check("Bob: MESSAGEs before rewatch gives up", threshold, len(st.bob.Messages()))
	st.check("Bob: de-REGISTERs at the core", 1, len(st.deregistrations()))
	st.check("Bob: bindings left at the core", 0, len(st.core.Bindings(bobAOR)))
	st.check("Bob: subscriptions left at the server", 0, len(st.server.Subscriptions(bobAOR)))
	st.check("Bob: alarms raised ("+exhaustedAlarm+")", 1, len(st.alarms.raised(exhaustedAlarm, bobAOR)))
	st.check("rewatch: exhausted", 1, st.rewatch.metric(ctx, exhausted))
}

// deregistrations are the REGISTERs that rewatch sent to the core.
func (st *stage) deregistrations() []string {
	var ids []string
	for _, p := range st.seen.of(sighting{peer: "core", method: "REGISTER", text: "<" + bobAOR + ">"}) {
		if st.flow.lane(p.From) == laneRewatch {
			ids = append(ids, p.CallID)
		}
	}
	return ids
}

func (st *stage) checkReturn(ctx context.Context, since time.Time) {
	raised, cleared := st.alarms.raised(exhaustedAlarm, bobAOR), st.alarms.cleared(exhaustedAlarm, bobAOR)
	st.check("Bob: bindings after the return", 1, len(st.core.Bindings(bobAOR)))
	st.check("Bob: alarms cleared", 1, len(cleared))
	if len(raised) == 1 && len(cleared) == 1 {
		st.check("Bob: the clear repeats the id of the raise", true, raised[0].ID == cleared[0].ID)
	}
	st.check("Bob: MESSAGEs since", 0, len(st.seen.of(sighting{peer: "core", method: "MESSAGE", after: since})))
	st.check("rewatch: recovered, in all", 1, st.rewatch.metric(ctx, recovered))
}
