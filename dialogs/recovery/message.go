package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/count"
	"rewatch/policy"
)

// inconclusive says whether a request failed for a reason of rewatch's own, so that the outcome
// tells nothing of the user: it came back to rewatch, or too many were under way.
func inconclusive(res dialogs.Result) bool {
	return errors.Is(res.Err, dialogs.ErrReturned) || errors.Is(res.Err, dialogs.ErrCrowded)
}

// messenger sends the MESSAGEs and terminating NOTIFYs of an Engine.
type messenger struct{ e *Engine }

// tell carries out one SendMessage and tells the policy that it is done.
func (m *messenger) tell(ctx context.Context, aor string, a policy.Action) {
	broken := m.stillBroken(aor, a)
	switch {
	case len(broken) == 0:
		m.e.reports.note(aor, atRewatch, atRewatch, "MESSAGE not needed any more")
	case m.e.cfg.DryRun.On():
		m.e.reports.about(aor, a).Info().Int("broken", len(broken)).Msg("MESSAGE would be sent")
		m.e.reports.note(aor, atRewatch, atRewatch, "dry run: "+messageStep(a))
		m.e.metrics.messages.WithLabelValues(resultDryRun).Inc()
		message, notify := m.e.signals(broken)
		if message {
			m.e.reports.dryly(count.DryMessage)
		}
		if len(notify) > 0 {
			m.e.reports.dryly(count.DryNotify)
		}
	case m.e.turns.mayTransmit(ctx, aor, a):
		m.signal(ctx, aor, a, broken)
		return
	case m.sentElsewhere(aor, a):
		return
	}
	m.told(aor, a, policy.ByUnknown, settled, true)
}

// sentElsewhere says whether another process has sent the MESSAGE and awaits its outcome. If
// so, this process no longer awaits it.
func (m *messenger) sentElsewhere(aor string, a policy.Action) bool {
	left := true
	m.e.with(aor, func(sh *engineShard, u *engineUser) {
		s := u.state
		left = s.Phase == policy.Notifying && s.Episode == a.Episode && s.Tries == a.Try && s.Transmitted
		if left {
			u.messaging = false
			m.e.schedule(sh, u, s.Deadline)
		}
	})
	return left
}

// stumbled says whether an outcome is the core's fault rather than the user's: no response,
// 408, or a 5xx that does not mean "not supported".
func stumbled(res dialogs.Result) bool {
	return res.Status == 0 || res.Status == 408 || res.Status >= 500 && res.Status < 600 && !unsupported(res.Status)
}

// settled stands for the outcome of a MESSAGE that was not sent or not needed.
var settled = dialogs.Result{Status: 200}

// told tells the policy that the MESSAGE is done. A MESSAGE that the client does not support
// has reached the client all the same.
func (m *messenger) told(aor string, a policy.Action, by policy.By, res dialogs.Result, proven bool) {
	result := messageResult(res)
	m.e.settle(aor, policy.Event{
		Kind: policy.MessageDone, Episode: a.Episode, Try: a.Try, By: by, Excused: inconclusive(res),
		Undelivered: result != resultOK && result != resultUnsupported, Stumbled: stumbled(res),
		Deaf:     unsupported(res.Status),
		Unproven: !proven,
	})
}

// unsupported says whether a status means that the client does not support the MESSAGE.
func unsupported(status int) bool {
	return status == 405 || status == 415 || status == 488 || status == 501
}

// signals says whether a MESSAGE is to be sent for the broken subscriptions, and which of them
// are to be ended by a NOTIFY. That depends on the client: some subscribe again after a
// terminating NOTIFY, others give up.
func (e *Engine) signals(broken []policy.Broken) (message bool, notify []policy.Broken) {
	for _, b := range broken {
		s := e.cfg.Agents.For(b.Agent, e.cfg.Signal)
		message = message || s.Message
		if s.Notify {
			notify = append(notify, b)
		}
	}
	return message, notify
}

// signal tells the watcher in the ways that the operator chose. RFC 3428 forbids
// a second MESSAGE beside the first; the NOTIFYs are in dialogs of their own, so
// they go beside it, and the recovery waits for them only if there is no MESSAGE.
func (m *messenger) signal(ctx context.Context, aor string, a policy.Action, broken []policy.Broken) {
	message, notify := m.e.signals(broken)
	var ending sync.WaitGroup
	ending.Go(func() { m.terminate(ctx, aor, a, notify) })
	if message {
		res, proven := m.message(ctx, aor, a, broken)
		m.told(aor, a, policy.ByMessage, res, proven)
		ending.Wait()
		return
	}
	ending.Wait()
	m.told(aor, a, policy.ByNotify, settled, true)
}

// stillBroken returns the subscriptions that a MESSAGE has to name. There are none if the
// recovery was called off or the watcher came back while the MESSAGE was queued.
func (m *messenger) stillBroken(aor string, a policy.Action) []policy.Broken {
	s, _ := m.e.look(aor)
	if s.Phase != policy.Notifying || s.Episode != a.Episode || s.Tries != a.Try {
		return nil
	}
	var lost []policy.Broken
	for _, b := range s.Broken {
		if b.Told && b.Progress == policy.Lost {
			lost = append(lost, b)
		}
	}
	return lost
}

// message sends a MESSAGE. The bool says whether the path to the user is proven to work.
func (m *messenger) message(ctx context.Context, aor string, a policy.Action, broken []policy.Broken) (dialogs.Result, bool) {
	limited, cancel := context.WithTimeout(ctx, m.e.cfg.Rules.MessageTimeout)
	defer cancel()
	m.e.reports.note(aor, atRewatch, atCore, messageStep(a))
	sent := time.Now()
	u := m.e.dir.User(aor)
	res := m.e.actor.Message(limited, dialogs.MessageJob{
		AOR: aor, Route: routeTo(u), Else: u.LastHop, // the user may have come by it since the REGISTER
		Attempt: a.Attempt, Of: a.Of, Broken: broken, More: a.More,
	})
	m.e.reports.noteResult(aor, atCore, res)
	result := messageResult(res)
	m.e.metrics.messages.WithLabelValues(result).Inc()
	m.e.reports.about(aor, a).Info().Int("of", a.Of).Int("broken", len(broken)).Int("status", res.Status).
		AnErr("error", res.Err).Str("result", result).Msg("MESSAGE")
	return res, m.e.outages.outcome(ctx, aor, sent, res)
}

// terminate ends the broken subscriptions with NOTIFYs, one after the other. A
// watcher who does not answer one will not answer the next either: a dead phone
// with a hundred subscriptions must not cost a hundred times Timer F.
func (m *messenger) terminate(ctx context.Context, aor string, a policy.Action, broken []policy.Broken) {
	for _, b := range broken {
		job, ok := m.e.dir.Termination(aor, b.CallID, b.Event)
		if !ok {
			continue
		}
		m.e.reports.note(aor, atRewatch, atCore, "NOTIFY "+b.Event+" terminated;reason=deactivated")
		res := m.terminateOne(ctx, job)
		m.e.reports.noteResult(aor, atCore, res)
		m.e.reports.about(aor, a).Info().Str("call_id", b.CallID).Str("event", b.Event).Int("status", res.Status).
			AnErr("error", res.Err).Msg("terminating NOTIFY")
		if res.Status == 0 {
			return
		}
	}
}

func (m *messenger) terminateOne(ctx context.Context, job dialogs.TerminateJob) dialogs.Result {
	ctx, cancel := context.WithTimeout(ctx, m.e.cfg.Rules.MessageTimeout)
	defer cancel()
	return m.e.actor.Terminate(ctx, job)
}

// routeTo is the way to a user: by its S-CSCF, else by where its SUBSCRIBE came from, else
// (empty) by REWATCH_CORE.
func routeTo(u dialogs.User) string { return cmp.Or(u.SCSCF, u.LastHop) }

func messageStep(a policy.Action) string {
	return fmt.Sprintf("MESSAGE attempt %d of %d", a.Attempt, a.Of)
}

// messageResult is the metric label of the outcome of a MESSAGE.
func messageResult(res dialogs.Result) string {
	switch {
	case res.OK():
		return resultOK
	case errors.Is(res.Err, dialogs.ErrReturned):
		return resultReturned
	case unsupported(res.Status):
		return resultUnsupported
	case res.Status == 408 || res.Status == 0 && isSilence(res.Err):
		return resultTimeout
	case res.Status >= 300:
		return resultRejected
	default:
		return resultError
	}
}

// isSilence says whether an error means that nothing came back.
func isSilence(err error) bool {
	var timeout interface{ Timeout() bool }
	return err == nil || errors.Is(err, dialogs.ErrNoResponse) || errors.As(err, &timeout) && timeout.Timeout()
}
