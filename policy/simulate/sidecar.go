package simulate

import (
	"slices"
	"strconv"

	"rewatch/policy"
	"rewatch/policy/outage"
)

// sidecar is one rewatch process: what its engine does around policy.Decide.
type sidecar struct {
	w      *world
	number int
	paths  *outage.Paths
	hops   []string

	messages, signOuts *pace
	// returning are the watchers that an outage broke and that are worked off now;
	// noted, for each hop, those that wait for its end.
	returning *pace
	noted     [][]*user
	// post keeps NOTIFYs; nil: nothing is kept.
	post       Post
	deliveries *pace
	// frozen, for each hop, are the deadlines and requests kept back by a hold.
	frozen [][]*user
	// recent are the failures and the strikes that a hold may still reach back to.
	recent []blame
	// leaving are those whose de-REGISTER was queued; some have left.
	leaving []*user
	held    moment
	changed bool // a hold ended since the last step
}

// blame is a failure that was taken for the watcher's own, or a MESSAGE that was
// counted as a strike of the user.
type blame struct {
	u  *user
	at moment
}

func newSidecar(w *world, number int) *sidecar {
	s := &sidecar{
		w: w, number: number, paths: outage.NewPaths(w.cfg.Outage),
		messages:  newPace(w.cfg.MessageRate, 0),
		signOuts:  newPace(w.cfg.DeregisterRate, w.cfg.DeregisterCap),
		returning: newPace(w.cfg.MessageRate, 0), deliveries: newPace(w.cfg.MessageRate, 0),
		noted:  make([][]*user, w.cfg.Hops),
		frozen: make([][]*user, w.cfg.Hops),
	}
	if w.cfg.NewPost != nil {
		s.post = w.cfg.NewPost()
	}
	for hop := range w.cfg.Hops {
		s.hops = append(s.hops, "hop-"+strconv.Itoa(hop))
	}
	return s
}

func (s *sidecar) hop(u *user) string { return s.hops[s.w.hop(u)] }

// offer lets the policy decide, and does what it says.
func (s *sidecar) offer(u *user, e policy.Event) {
	if e.Kind != policy.NotifyFailed && u.state.Phase == policy.Idle && u.state.Forgettable() {
		return // nothing is known of the user
	}
	e.At = s.w.clock.now.time()
	next, actions := policy.Decide(s.w.cfg.Rules, *u.state, e)
	u.remember(next)
	for _, a := range actions {
		s.act(u, a)
	}
	s.arm(u)
}

func (s *sidecar) act(u *user, a policy.Action) {
	switch a.Kind {
	case policy.SendMessage:
		s.recent = append(s.recent, blame{u, s.w.clock.now})
		if !u.messaging {
			u.messaging = true
			s.messages.push(u)
		}
	case policy.DoDeregister:
		if !u.signing {
			u.signing, u.parting = true, partOf(a.Devices)
			s.leaving = append(slices.DeleteFunc(s.leaving, func(o *user) bool { return !o.signing }), u)
			s.signOuts.push(u)
		}
	case policy.Recovered, policy.GaveUp, policy.Abandoned,
		policy.StartBan, policy.EndBan, policy.RaiseAlarm, policy.ClearAlarm, policy.Transmit, policy.Returned:
	}
}

// arm schedules the Tick of a watcher, unless one is scheduled that comes before
// it and will arm again.
func (s *sidecar) arm(u *user) {
	if u.state.Deadline.IsZero() {
		return
	}
	now := s.w.clock.now
	due := max(at(u.state.Deadline), now+1)
	if u.ticks > now && u.ticks <= due {
		return
	}
	u.ticks = due
	s.w.clock.put(due, event{who: u.id, kind: tick})
}

// tick delivers a deadline, or keeps it back while the hop is held.
func (s *sidecar) tick(u *user) {
	now := s.w.clock.now
	if u.ticks != now {
		return // overtaken
	}
	switch {
	case u.state.Deadline.IsZero():
	case u.state.Deadline.After(now.time()):
		s.arm(u)
	case u.messaging && u.state.Phase == policy.Notifying, u.signing:
		// Its outcome is awaited, however long it is queued.
	case s.waits(u) && u.state.Phase != policy.Idle:
		s.freeze(u)
	case s.unproven(u):
		u.ticks = now + tryAgain
		s.w.clock.put(u.ticks, event{who: u.id, kind: tick})
	default:
		s.offer(u, policy.Event{Kind: policy.Tick})
	}
}

// tryAgain is how soon a watcher is looked at again whom nothing proves guilty yet.
const tryAgain = 3

// unproven says whether the Tick of a watcher would hold against it what may be the fault
// of the path: it would get a further MESSAGE that counts, or be given up.
func (s *sidecar) unproven(u *user) bool {
	st := u.state
	if st.Excused || st.Phase != policy.Gathering && st.Phase != policy.Waiting {
		return false
	}
	next, _ := policy.Decide(s.w.cfg.Rules, *st, policy.Event{Kind: policy.Tick, At: s.w.clock.now.time()})
	blames := next.Phase == policy.Exhausted || next.Phase == policy.Notifying && st.Phase == policy.Waiting
	return blames && !s.mayBlame(u)
}

// partOf are the devices of an action.
func partOf(devices []policy.Device) (all uint8) {
	for _, d := range devices {
		all |= uint8(slices.Index(deviceNames[:], d.ID)) //nolint:gosec // a few
	}
	return all
}
