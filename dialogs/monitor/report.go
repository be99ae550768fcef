package monitor

import (
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/outcome"
	"rewatch/dialogs/monitor/throughput"
	"rewatch/dialogs/monitor/trace"
	"rewatch/policy"
)

// reporter tells the Engine, the ladder, the log and the metrics what has become of a NOTIFY or
// of a subscription. It is given copies, and no lock is held while it tells.
type reporter struct {
	*Table
	rec        dialogs.Recovery
	log        zerolog.Logger
	metrics    *monitorMetrics
	throughput *throughput.Sums
	ladder     trace.Ladder
	noAnswer   string // the ladder's note of a timeout
}

// follow does what follows from a judgement, without a lock.
func (r *reporter) follow(j *judgement, o *dialogs.Outcome) {
	s, at := &j.sub, instant(o.At)
	switch j.finding {
	case nothingFollows:
	case gotThrough:
		r.tell(s, j.alive, o)
	case hasEnded:
		if outcome.IsOK(o) {
			r.metrics.ok[s.label].Inc()
		} else {
			r.metrics.ignore(s.label, ignoredEnded)
		}
		if !s.fetch && !s.endTold && r.rec.Interested(s.watcher()) {
			r.rec.Offer(s.watcher(), policy.Event{Kind: policy.Ended, At: at, Sub: s.broken()})
		}
	case cameLate:
		r.metrics.late.Inc()
		r.rec.Offer(s.watcher(), policy.Event{Kind: policy.LateOK, At: at, Sub: s.broken(), Alive: j.alive})
		r.ladder.Step(s.watcher(), at, "core", "rewatch", outcome.StatusText(o.Status, o.Reason)+" (late)")
	case isIgnored:
		r.metrics.ignore(s.label, j.why)
		if j.why == ignoredKept {
			r.ladder.Missed(passage(s, o), o, instant(o.At), r.noAnswer)
		}
		if j.witness {
			r.throughput.CollectFor(at)
			r.rec.Failed(r.failureOf(s, o))
		}
	}
}

// tell tells the Engine of a 2xx, and adds it to the ladder. alive: the subscription had
// failed.
func (r *reporter) tell(s *subscription, alive bool, o *dialogs.Outcome) {
	kind := policy.NotifyOK
	if alive {
		kind = policy.LateOK
	}
	ev := policy.Event{Kind: kind, At: instant(o.At), Sub: s.broken(), Alive: alive}
	if o.Hop.IsValid() {
		ev.Hop = o.Hop.String()
	}
	r.rec.Offer(s.watcher(), ev)
	r.ladder.Passed(passage(s, o), o)
	r.ladder.Response(s.watcher(), instant(o.At), "core", "server", o.Status, o.Reason)
}

// announceFailure tells the Engine of a failure, and adds it to the ladder.
func (r *reporter) announceFailure(s subscription, o dialogs.Outcome, said string) {
	cause := r.report(s, o, r.failureOf(&s, &o))
	r.ladder.Missed(passage(&s, &o), &o, instant(o.At), r.noAnswer)
	if said == "" && o.Kind == dialogs.Responded && r.cfg.Answer != AnswerSilent {
		said = cause
	}
	if said != "" {
		r.ladder.Step(s.watcher(), instant(o.At), "rewatch", "server", said)
	}
}

// report completes a failure f and tells the Engine of it. It returns the cause.
func (r *reporter) report(s subscription, o dialogs.Outcome, f dialogs.Failure) string {
	watcher, at := s.watcher(), instant(o.At)
	sub := s.broken()
	sub.Cause, sub.Since = outcome.Cause(&o), at
	sub = sub.Clone() // the Engine keeps it
	line := r.log.Debug().Str("call_id", sub.CallID).Str("watcher", watcher).Str("event", sub.Event).Str("reason", sub.Cause)
	if len(o.Tries) > 0 {
		line = line.Strs("tried", trace.Tries(o.Tries))
	}
	line.Msg("NOTIFY failed")
	r.throughput.CollectFor(at)
	superseded, _ := r.superseded(&s)
	f.Superseded, f.Witness = superseded, false
	f.Event.Sub, f.Event.Pointless = sub, outcome.Pointless(&o)
	r.rec.Failed(f)
	return sub.Cause
}

// failureOf is what a failure says of the path, also where its watcher is not recovered.
func (r *rules) failureOf(s *subscription, o *dialogs.Outcome) dialogs.Failure {
	return dialogs.Failure{
		AOR: s.watcher(), Hop: o.Hop, Sent: r.sentAt(s, o), Unreachable: o.Kind == dialogs.Unreachable,
		Silent:  o.Kind != dialogs.Responded || o.Status == 408 || o.Status/100 == 5,
		Witness: true, Event: policy.Event{Kind: policy.NotifyFailed, At: instant(o.At)},
	}
}

// sentAt is when the NOTIFY of an outcome was sent. Only the time of the newest NOTIFY is
// remembered; an earlier one without a response was sent NotifyTimeout ago.
func (r *rules) sentAt(s *subscription, o *dialogs.Outcome) time.Time {
	at := instant(o.At)
	switch {
	case s.notifyCSeq == o.CSeq && s.sent != 0:
		return time.Unix(0, s.sent)
	case o.Kind == dialogs.TimedOut:
		return at.Add(-r.cfg.NotifyTimeout)
	default:
		return at
	}
}

// passage is how the ladder shows the NOTIFY of an outcome.
func passage(s *subscription, o *dialogs.Outcome) trace.Notify {
	at := instant(o.At)
	if s.notifyCSeq == o.CSeq && s.sent != 0 {
		at = time.Unix(0, s.sent)
	}
	return trace.Notify{Watcher: s.watcher(), Event: s.event(), At: at}
}

// subscribed tells the Engine of a new subscription.
func (r *reporter) subscribed(s *subscription, ref dialogs.Ref, at time.Time) {
	r.rec.Offer(s.watcher(), policy.Event{Kind: policy.Subscribed, At: at, Sub: s.broken(), By: r.broughtBackBy(s, at)})
	r.toldEngine(ref)
}

// routing tells cfg.RoutingFault of a response that shows a broken path.
func (r *reporter) routing(ref dialogs.Ref, o *dialogs.Outcome) {
	if r.cfg.RoutingFault == nil || !outcome.RoutingFault(o) {
		return
	}
	if s, ok := r.load(ref); ok {
		r.cfg.RoutingFault(o.Hop, s.watcher(), o.Status)
	}
}
