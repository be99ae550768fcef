package recovery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/count"
	"rewatch/dialogs/recovery/queue"
	"rewatch/policy"
)

// serverTries is how often rewatch tries to tell the server of a de-registration. If the server
// cannot be told, that is no concern of the user's.
const serverTries = 3

// deregistrar signs users out for an Engine.
type deregistrar struct{ e *Engine }

// signOut carries out one DoDeregister and tells the policy the outcome.
func (r *deregistrar) signOut(ctx context.Context, aor string, a policy.Action) {
	if !r.e.turns.mayTransmit(ctx, aor, a) {
		r.calledOff(aor, a)
		return
	}
	if r.e.cfg.DryRun.On() {
		r.e.reports.dryly(count.DryDeregister)
		r.leaveIn(aor, a, resultDryRun, "dry run")
		return
	}
	u := r.e.dir.User(aor)
	if why := r.mustStay(u); why != "" { // asked again, because persisting the turn takes a while
		r.leaveIn(aor, a, resultSkipped, why)
		return
	}
	jobs := r.bindings(a, u)
	if len(jobs) == 0 {
		r.leaveIn(aor, a, resultSkipped, "the Contact is not known")
		return
	}
	others := r.e.cfg.ByHook && !r.e.cfg.DeregisterAll && anotherOf(u, a) // of which a hook says nothing
	if others && r.e.cfg.HookTakesAll {
		r.leaveIn(aor, a, resultSkipped, "the hook has no {contact} and would end the user's other devices")
		return
	}
	var res dialogs.Result
	var done []string
	proof := r.e.reports.proof(aor, a)
	for _, job := range jobs {
		sent := time.Now()
		if res = r.deregister(ctx, a, job); !res.OK() {
			r.failed(ctx, aor, sent, res)
			return
		}
		done = append(done, r.e.reports.recordSignOut(aor, a, proof, job, res))
	}
	r.e.alarms.came(aor, a, "signed out: "+strings.Join(done, ", "))
	r.e.flaps.SignedOut(aor, time.Now())
	r.signedOut(ctx, a, u, jobs, others || res.Others)
}

// failed tells the policy that a de-REGISTER has failed.
func (r *deregistrar) failed(ctx context.Context, aor string, sent time.Time, res dialogs.Result) {
	r.e.outages.outcome(ctx, aor, sent, res) // silence may tell of the path, which drops the sign-out
	if ctx.Err() == nil {                    // else rewatch stops, and its next start tries again
		r.e.settle(aor, policy.Event{Kind: policy.DeregisterFailed, Pointless: errors.Is(res.Err, dialogs.ErrRefused)})
	}
}

// anotherOf says whether a user has a device besides the devices of an action.
func anotherOf(u dialogs.User, a policy.Action) bool {
	return slices.ContainsFunc(u.Contacts, func(contact string) bool {
		return !slices.ContainsFunc(a.Devices, func(d policy.Device) bool {
			return d.At(contact) || d.Contact == "" && len(u.Contacts) == 1
		})
	})
}

// signedOut tells the policy and the server that the core has signed out the devices of an
// action. If other devices of the user stay, its registration goes on, and the server is not
// told of any end.
func (r *deregistrar) signedOut(ctx context.Context, a policy.Action, u dialogs.User, jobs []dialogs.DeregisterJob, others bool) {
	ours := u.AtServer && u.SCSCF == "" // the server is the registrar: it has the bindings themselves
	gone := !others && r.e.dir.SignedOut(u)
	r.e.settle(u.AOR, policy.Event{Kind: policy.DeregisterDone, Others: others})
	switch {
	case ours:
		for _, job := range jobs {
			job.Target = dialogs.AtServer
			r.tellServer(ctx, a, job)
		}
	case gone && u.AtServer:
		r.tellServer(ctx, a, dialogs.DeregisterJob{AOR: u.AOR, Target: dialogs.AtServer, Contact: u.SCSCF})
	}
}

// bindings are the de-REGISTERs of an action: one for each device, or one for all. A
// device whose Contact is not known is left alone, unless the user has but one.
func (r *deregistrar) bindings(a policy.Action, u dialogs.User) (jobs []dialogs.DeregisterJob) {
	job := dialogs.DeregisterJob{AOR: u.AOR, Target: dialogs.AtCore, Route: routeTo(u)}
	if r.e.cfg.DeregisterAll || r.e.cfg.HookTakesAll {
		return []dialogs.DeregisterJob{job}
	}
	for _, d := range a.Devices {
		if job.Contact, job.Device = d.Contact, d.ID; d.Contact == "" && len(u.Contacts) == 1 {
			job.Contact = u.Contacts[0]
		}
		if job.Contact != "" {
			jobs = append(jobs, job)
		}
	}
	return jobs
}

// mayGo says whether a de-REGISTER may be sent now. If not, it was kept back, or it is no
// longer needed or allowed.
func (r *deregistrar) mayGo(aor string, a policy.Action, j queue.Job) bool {
	if !r.stillGivenUp(aor) {
		r.calledOff(aor, a)
		return false
	}
	if r.e.outages.keepBack(aor, r.e.signOuts, j) || r.putOff(aor, j) {
		return false
	}
	if why := r.mustStay(r.e.dir.User(aor)); why != "" {
		r.leaveIn(aor, a, resultSkipped, why)
		return false
	}
	return true
}

// putOff puts a de-REGISTER off while the path is not proven, and says whether it did.
func (r *deregistrar) putOff(aor string, j queue.Job) (off bool) {
	r.e.with(aor, func(sh *engineShard, u *engineUser) {
		now := time.Now()
		if off = !r.e.hold.MayBlame(now, r.e.outages.hopOf(u), aor, u.state.Messaged); off {
			u.signOut, u.signOutAt = func() { r.e.clocking.Go(func() { r.e.signOuts.Again(j) }) }, now.Add(tryAgain)
			r.e.schedule(sh, u, u.state.Deadline)
		}
	})
	return off
}

// leaveIn tells the policy that a user is not de-registered, and why.
func (r *deregistrar) leaveIn(aor string, a policy.Action, result, why string) {
	r.e.metrics.deregistrations.WithLabelValues(atCore, result).Inc()
	r.e.reports.note(aor, atRewatch, atRewatch, "not de-registered: "+why)
	r.e.reports.about(aor, a).Info().Str("reason", why).Msg("not de-registered")
	r.e.alarms.came(aor, a, "stays registered: "+why)
	r.e.settle(aor, policy.Event{Kind: policy.DeregisterSkipped})
}

// stillGivenUp says whether a de-REGISTER is still wanted: a user who has signed in again while
// it was queued must not be signed out.
func (r *deregistrar) stillGivenUp(aor string) bool {
	s, known := r.e.look(aor)
	return known && s.Phase == policy.Exhausted && !s.SignedOut && !s.StaysRegistered
}

// calledOff drops a de-REGISTER that is no longer wanted, or that another process has sent.
func (r *deregistrar) calledOff(aor string, a policy.Action) {
	r.e.metrics.deregistrations.WithLabelValues(atCore, resultSkipped).Inc()
	r.e.reports.note(aor, atRewatch, atRewatch, "not de-registered: no longer given up")
	r.e.reports.about(aor, a).Info().Str("reason", "no longer given up").Msg("not de-registered")
	r.e.with(aor, func(sh *engineShard, u *engineUser) {
		u.signingOut = false
		r.e.schedule(sh, u, u.state.Deadline)
		sh.touch(u) // it may have been kept only for this
	})
}

// mustStay says why a user must not be de-registered; empty if it may be. A watcher may be a
// resource list server or of a foreign domain; an emergency registration is never ended; and
// without the store it is not known what the other replicas know.
func (r *deregistrar) mustStay(u dialogs.User) string {
	switch {
	case u.Emergency:
		return "emergency registration"
	case r.e.cfg.sacred(u.AOR):
		return "REWATCH_NEVER_SIGN_OUT"
	case !u.Registered && !slices.ContainsFunc(r.e.cfg.Domains, func(d string) bool {
		return strings.EqualFold(d, domainOf(u.AOR))
	}):
		return "not registered here"
	case r.e.alarms.storeAway.Load():
		return "the state store is away"
	case r.unreadable(u.AOR):
		return "its state is that of another version of rewatch"
	default:
		return ""
	}
}

// unreadable says whether the store has a state of the user that cannot be read here.
func (r *deregistrar) unreadable(aor string) (unreadable bool) {
	r.e.with(aor, func(_ *engineShard, u *engineUser) { unreadable = u.unreadable })
	return unreadable
}

// tellServer ends a registration at the server. The Contact of a third-party REGISTER is that
// of the S-CSCF, not of the user. It stops when the user has registered again meanwhile, for it
// would end the new registration.
func (r *deregistrar) tellServer(ctx context.Context, a policy.Action, job dialogs.DeregisterJob) {
	pause := r.e.cfg.Rules.DeregisterRetry
	for try := 1; ; try++ {
		if r.deregister(ctx, a, job).OK() {
			return
		}
		if try == serverTries || !queue.Sleep(ctx, pause) || r.returned(job.AOR) {
			return
		}
		pause *= 2
	}
}

// returned says whether a user is no longer given up.
func (r *deregistrar) returned(aor string) bool {
	s, ok := r.e.look(aor)
	return !ok || s.Phase != policy.Exhausted
}

// deregister sends one de-REGISTER.
func (r *deregistrar) deregister(ctx context.Context, a policy.Action, job dialogs.DeregisterJob) dialogs.Result {
	ctx, cancel := context.WithTimeout(ctx, r.e.cfg.Rules.MessageTimeout)
	defer cancel()
	target, what := atCore, "REGISTER Expires: 0"
	switch {
	case job.Target == dialogs.AtServer:
		target = atServer
	case r.e.cfg.ByHook:
		what = "sign-out by the hook"
	}
	r.e.reports.note(job.AOR, atRewatch, target, what)
	res := r.e.actor.Deregister(ctx, job)
	r.e.reports.noteResult(job.AOR, target, res)
	result := resultOK
	if !res.OK() {
		result = resultFailed
	}
	r.e.metrics.deregistrations.WithLabelValues(target, result).Inc()
	r.e.reports.about(job.AOR, a).Info().Str("target", target).Int("try", a.Try).Int("status", res.Status).
		AnErr("error", res.Err).Str("result", result).Msg("de-REGISTER")
	return res
}

// domainOf is the host of an address of record; a tel URI has none.
func domainOf(aor string) string {
	_, host, ok := strings.Cut(aor, "@")
	if !ok {
		return ""
	}
	if strings.HasPrefix(host, "[") { // IPv6
		if i := strings.IndexByte(host, ']'); i > 0 {
			return host[:i+1]
		}
	}
	if i := strings.IndexAny(host, ":;?"); i >= 0 {
		host = host[:i]
	}
	return host
}
