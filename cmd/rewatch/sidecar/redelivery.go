package sidecar

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"rewatch/cmd/rewatch/config"
	"rewatch/dialogs"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/monitor/outcome"
	"rewatch/dialogs/recovery/ladder"
	"rewatch/dialogs/redelivery"
	"rewatch/policy"
	"rewatch/proxy/wire"
)

// newPostman makes the Postman, which keeps and delivers NOTIFYs; nil if REWATCH_REDELIVER is off, or
// with REWATCH_ANSWER=passthrough.
func (p *process) newPostman(reg prometheus.Registerer) *redelivery.Postman {
	d := p.cfg.Dialogs
	var kept func() (n, size int)
	defer func() {
		gauge := func(name, help string, value func() int) {
			promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
		}
		gauge("rewatch_redeliver_kept", "NOTIFYs that are kept, to be delivered.", func() int { n, _ := kept(); return n })
		gauge("rewatch_redeliver_bytes", "Memory that they take.", func() int { _, size := kept(); return size })
	}()
	kept = func() (int, int) { return 0, 0 }
	if d.Redeliver == 0 || d.Answer == monitor.AnswerPassthrough {
		return nil
	}
	postman := redelivery.NewPostman(redelivery.Options{
		Config: redelivery.Config{For: d.Redeliver, MaxBytes: int(d.MaxRedeliver)},
		Rate:   p.cfg.UAC.MessageRate,
		Send:   func(id uint64, parcel dialogs.Parcel) bool { return p.proxy.Deliver(id, parcel) },
		Hurry:  func(id uint64) { p.proxy.Hurry(id) },
		Recall: func(id uint64) { p.proxy.Recall(id) },
		Open:   func(hop netip.AddrPort) bool { return p.engine.MayTry(hop) },
		Notes:  keptNotes{p},
		Sure:   func() bool { return p.takeover == nil || p.takeover.Alive() },
		Alone: func(o *dialogs.Outcome) bool {
			return outcome.Of(o, d.Failure == config.FailureRFC) == outcome.Harmless
		},
		Ended: func(e redelivery.End, o *dialogs.Outcome) { p.monitor.Redelivered(e, o) },
	})
	kept = postman.Totals
	return postman
}

// keptNotes adds to the ladder diagrams what happens to NOTIFYs that are kept.
type keptNotes struct{ p *process }

// Kept implements redelivery.Notes.
func (k keptNotes) Kept(at time.Time, n *redelivery.Notify, waiting int, since time.Time) {
	sub := headOf(n.Parcel.Raw)
	sub.Cause, sub.Since = "kept for the phone", since
	what, steps := "NOTIFY "+sub.Event, []dialogs.Step(nil)
	said := "200 OK, kept for the phone"
	if !n.Hop.IsValid() {
		said = "200 OK, kept behind an earlier one"
		steps = append(steps, dialogs.Step{At: at, From: "server", To: "rewatch", What: what})
	}
	// What it answers is noted later, with the same time.
	steps = append(steps, dialogs.Step{At: at.Add(time.Microsecond), From: "rewatch", To: "server", What: said})
	k.p.engine.Ladders().Keep(n.User, sub, ladder.Kept{NOTIFYs: waiting, Since: since}, steps...)
}

// Tried implements redelivery.Notes.
func (k keptNotes) Tried(a *redelivery.Attempt, o *dialogs.Outcome) {
	show := func(at time.Time, from, to, what string) {
		k.p.engine.Trace(a.User, dialogs.Step{At: at, From: from, To: to, What: what})
	}
	what := "NOTIFY " + headOf(a.Parcel.Raw).Event
	show(a.At, "rewatch", "core", what+", try "+strconv.Itoa(a.Try))
	for _, t := range o.Tries {
		show(t.At, "rewatch", "core", what+" again "+t.String())
	}
	switch o.Kind {
	case dialogs.TimedOut:
		show(o.At, "rewatch", "rewatch", "no response")
	case dialogs.Unreachable:
		show(o.At, "rewatch", "rewatch", "next hop unreachable")
	case dialogs.Responded:
		show(o.At, "core", "rewatch", strconv.Itoa(o.Status)+" "+string(o.Reason))
	}
}

// Ended implements redelivery.Notes.
func (k keptNotes) Ended(at time.Time, e *redelivery.End, waiting int, since time.Time) {
	result := ladder.ResultDelivered
	switch e.Result {
	case redelivery.GivenBack:
		result = ladder.ResultGivenBack
	case redelivery.Dropped:
		result = ladder.ResultDropped
	case redelivery.Delivered, redelivery.Replaced:
	}
	k.p.engine.Ladders().Left(e.User, at, result, ladder.Kept{NOTIFYs: waiting, Since: since})
}

// headOf reads from a NOTIFY which subscription it belongs to.
func headOf(raw []byte) (sub policy.Broken) {
	var m wire.Message
	if wire.Scan(raw, &m) != nil {
		return sub
	}
	event, _ := m.Value(wire.Event)
	callID, _ := m.Value(wire.CallID)
	from, _ := m.Value(wire.From)
	resource, _, _ := wire.Address(from)
	sub.Event, sub.CallID, sub.Resource = string(wire.ParseEvent(event).Package), string(callID), string(resource)
	return sub
}
