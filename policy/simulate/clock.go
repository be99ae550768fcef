package simulate

import "time"

// step is the grain of time. It divides the times that matter, down to the
// 500 ms of T1 and REWATCH_COALESCE.
const step = 100 * time.Millisecond

// dawn is when every run begins. Only differences matter.
var dawn = time.Unix(1_000_000_000, 0).UTC()

// moment is a time in steps since dawn.
type moment int32

func (t moment) time() time.Time { return dawn.Add(time.Duration(t) * step) }

// steps rounds a duration up to whole steps.
func steps(d time.Duration) moment { return moment((d + step - 1) / step) }

// at rounds a time up to a whole step.
func at(t time.Time) moment { return steps(t.Sub(dawn)) }

// kind names an event of one watcher.
type kind uint8

const (
	tick        kind = iota // its deadline
	notify                  // the server sends a NOTIFY of a new subscription, or to a dead phone
	passed                  // it got through
	expired                 // its deadline has passed
	refresh                 // the client refreshes a subscription
	subscribe               // the client subscribes anew
	told                    // the MESSAGE has its final response
	untold                  // it has none
	heard                   // the MESSAGE arrived
	signedOut               // the de-REGISTER has its response
	unanswered              // the de-REGISTER has none
	dies                    // the phone is switched off
	revives                 // and on again
	registers               // the phone registers anew
	unfrozen                // a deadline that was kept back by a hold
	renew                   // the client subscribes anew after its own refresh was refused
	moves                   // the phone loses its network
	moved                   // and subscribes anew in another one
	delivered               // a NOTIFY that was kept has got through
	undelivered             // and has not
)

// event is something that will happen to one watcher, or to one subscription.
type event struct {
	who  uint32
	sent moment
	kind kind
	sub  uint8
	gen  uint8 // the generation of the subscription, see user.gen
	last bool  // it is kept no more
	id   uint32
}

// calendar is the virtual clock: a list of events for every step. What lies
// beyond the end of the run never happens.
type calendar struct {
	now  moment
	days [][]event
}

func newCalendar(end moment) *calendar { return &calendar{days: make([][]event, end)} }

// put schedules an event, at the next step if its time has come already.
func (c *calendar) put(at moment, e event) {
	at = max(at, c.now+1)
	if int(at) < len(c.days) {
		c.days[at] = append(c.days[at], e)
	}
}

// take returns the events of this step and forgets them.
func (c *calendar) take() []event {
	today := c.days[c.now]
	c.days[c.now] = nil
	return today
}
