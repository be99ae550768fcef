// Package outage says whether a failure speaks against its user or against the path.
//
// A request to a user that fails says that something is wrong between the server and one
// phone, or with what is between. Nobody may be blamed for the latter: no strike, no
// sign-out, no ban. So a failure speaks against a user only if the path is proven ([Paths]):
//
//	since the request was sent that failed, behind the same hop     verdict
//	------------------------------------------------------------    --------
//	somebody else got through (a 2xx, a request of its own)         Proven
//	others were tried, none got through since                       Outage: the hop is held
//	nobody else was tried, the hop answers OPTIONS                  Proven
//	nobody else was tried, the hop does not answer                  Outage: the hop is held
//
// It is the same rule for three users in an office and for ten million. Where most but not
// all fail of a crowd a share shows it early (votes.go): each user has one vote.
//
// # How to drive it
//
// Nothing here reads a clock, sleeps or locks: time is passed in, deadlines are data, and
// whoever shares a Paths guards it with a mutex. It goes this way:
//
//  1. What gets through goes to [Paths.Passed], added up in [Passes]; what fails to
//     [Paths.Failed], which gives its verdict.
//  2. If that is Ask, the hop is sent OPTIONS, whose outcome goes to [Paths.Answered]. Any
//     response but 408 and 5xx is an answer. If it is Ask or Wait the failure is kept, and
//     judged again ([Paths.Judge]) when a [Notice] says that the hop has settled.
//  3. Before a user is told once more, given up or signed out, [Paths.MayBlame] is asked.
//  4. While [Paths.Held] is true of a hop everything waits that concerns users behind it,
//     but for the few whom [Paths.GoAhead] lets go.
//  5. At [Paths.Next], [Paths.Tick] gives the hops to be asked.
//  6. Every method that can change something returns the Notices.
//
// # Memory
//
// A hop takes less than 3 KB, whatever is behind it: the last two users who got through and
// the last two who failed (that is all the rule needs), a window of ten tenths with a bitmap
// of 1,024 bits each for the share, and three bitmaps more. [Limits.MaxHops] bounds the hops.
//
// # Why
//
// An outage is noticed 28 seconds late, because that is how long a NOTIFY is given, and its
// last failures come 28 seconds after its end. Hence Record.Since, which reaches back, and
// the rule that what was sent before a hold ended is the outage's.
//
// A phone that refuses everything, or ten of them, may want to have everybody held. What
// fails at once is therefore no silence: it has to go on for as long as silence takes to
// show, and ends with the first who gets through. A user has one vote, for a phone can write
// as many Contacts as it likes.
//
// That others got through since a NOTIFY was sent does not say that they do now: it may have
// been sent a moment before the outage began. So nobody is given up unless the path works in
// that moment.
package outage
