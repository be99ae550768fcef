// Package outage tells the failure of many from the failure of one.
//
// A NOTIFY that fails says that something is wrong between the server and one
// phone. When most NOTIFYs over a next hop fail, of many watchers and at the same
// time, the phones are innocent: the hop, or what lies behind it, is down. Then
// nobody may be blamed and nobody should be told, because no MESSAGE would arrive
// either. The [Detector] says when that begins and when it is over:
//
//	closed --> held --> probing --> closed (released)
//	             ^         |
//	             +---------+
//
//	closed   failures are judged; each is the watcher's own
//	held     an outage: no strike, no MESSAGE, no de-REGISTER; the hop is probed
//	probing  something got through; held still, for a short trial
//
// Each next hop is judged by itself, and all of them together (the scope
// [Overall]), for an outage that shows as a few failures on each of many hops.
// What passes over a hop that is held by itself counts no more in Overall, so
// that one dead hop does not hold the watchers of the others.
//
// # How to drive it
//
// Nothing here reads a clock, sleeps or locks: time is passed in, deadlines are
// data, and whoever shares a Detector guards it with a mutex. It goes this way:
//
//  1. Every outcome of a NOTIFY goes to [Detector.Observe], failed or not, before
//     the failure is offered to package policy. Successes may be told in bulk
//     with [Detector.Passed].
//  2. A failure for which [Detector.Excused] is true is the outage's: it is no
//     event for the policy, but the watcher is noted as broken, to be worked off
//     later. Excused stays true after the release for NOTIFYs that were sent
//     before it, because their deadline passes up to 32 seconds late.
//  3. While [Detector.Held] is true of a watcher's hop, his Ticks wait, and so do
//     MESSAGEs and de-REGISTERs that are queued.
//  4. At [Detector.Next], [Detector.Tick] returns the probes to be sent: OPTIONS
//     to Probe.Hop, with a deadline of a few seconds. Any response but 408 and
//     5xx is an answer. [Detector.Probed] takes the outcome. So is any request
//     that comes from the hop, such as a refresh; without that, a hop that never
//     answers OPTIONS and to which no NOTIFY is sent any more would stay held.
//  5. Every method that can change a state returns the changes. On Held: raise
//     the alarm, give back the strikes of all failures and MESSAGEs since
//     Change.Since. On Closed: clear the alarm, work off the broken watchers.
//
// # Why
//
// An outage is noticed 28 seconds late, because that is how long a NOTIFY is
// given, and its last failures come 28 seconds after its end. Hence Since, which
// reaches back, and Excused, which reaches ahead.
//
// Where a NOTIFY is given less time than the window is long, the window holds much
// that passed before, when the first of them fail. So the share of failures is not
// all: if many fail in a row and nothing at all has got through since they were
// sent, that is an outage as well.
//
// One success does not prove a hop sound: half of it may be back, or OPTIONS may
// pass where NOTIFYs do not. The trial is short at first, so that an ordinary
// outage ends within seconds. If the failures return soon after a release, the
// release was wrong: Since is that of the first hold, and the next trial is twice
// as long. So a flapping hop is held nearly all the time, and blames nobody.
package outage
