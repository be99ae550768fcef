package outage

import "time"

// path is what is known of one next hop, in less than 3 KB.
type path struct {
	name string
	// shared: more than one user was seen behind it. Until then only is the one.
	shared, seen bool
	only         uint64
	seenAt       time.Time

	passed, failed pair
	// first is when the first of what failed since anything got through was sent, but
	// not before that; silent are the users whom it was sent to.
	first  time.Time
	silent bitmap
	// tried is when a request failed last that rewatch did not send by itself.
	tried time.Time
	votes votes
	crowd crowd

	// answered is when OPTIONS was answered last, unanswered when one was sent that was
	// not, asked when one was sent whose outcome is not known yet. ever: it was
	// answered at some time.
	answered, unanswered, asked time.Time
	ever                        bool
	doubt                       bool // a failure waits for its verdict

	hold  *Record
	ended time.Time // when the last hold ended
	// elsewhere: something got through over another hop during the hold. few is how
	// many may go ahead, fewAt when there may be more of them, pause how long after
	// that it takes.
	elsewhere bool
	few       int
	fewAt     time.Time
	pause     time.Duration
	// probePause is the pause before the next OPTIONS at most, probeAt when it is due.
	probePause time.Duration
	probeAt    time.Time
}

func (h *path) held() bool { return h.hold != nil }

// pass takes what got through: there is no silence.
func (h *path) pass(got *Passes, epoch int64) {
	h.passed.join(&got.who)
	h.crowd.add(&got.users, h.passed.last.at)
	h.first, h.silent = time.Time{}, bitmap{}
	h.votes.pass(epoch, got.N)
}

// count takes what failed.
func (p *Paths) count(h *path, t *Try) {
	h.failed.add(mark{t.User, t.At})
	if passed := h.passed.last.at; t.At.After(passed) {
		if from := later(t.Sent, passed); h.first.IsZero() || from.Before(h.first) {
			h.first = from
		}
		h.silent.add(t.User)
	}
	if t.Final {
		return // a core that has forgotten its users refuses each MESSAGE
	}
	h.tried = later(h.tried, t.At)
	h.votes.fail(p.epoch(t.At), t)
	h.votes.worry(&p.rules, p.epoch(t.At), t)
}

// othersFailed says whether others than this user were tried lately, and nobody has got
// through since.
func (h *path) othersFailed(user uint64, at time.Time) bool {
	other := h.failed.besides(user)
	return other.After(h.passed.last.at) && at.Sub(other) <= recent
}

// recent is for how long a failure tells of the path.
const recent = 5 * time.Minute

// unansweredSince says whether the hop has answered no OPTIONS that was sent since then.
func (h *path) unansweredSince(then time.Time) bool {
	return h.unanswered.After(h.answered) && !h.unanswered.Before(then)
}

// since is from when on failures are those of an outage that is noticed now: since
// something got through last, or since things grew worse.
func (h *path) since(at time.Time) time.Time {
	since := h.passed.last.at
	if since.IsZero() || at.Sub(since) > recent {
		since = earlier(h.first, at)
	}
	if worse := h.votes.since(at); !worse.IsZero() {
		since = earlier(since, worse)
	}
	return later(since, at.Add(-recent))
}

// forget starts to count anew.
func (h *path) forget() {
	h.votes, h.first, h.silent, h.failed = votes{}, time.Time{}, bitmap{}, pair{}
}

// fewAhead is how many may go ahead when a hop that is held has answered OPTIONS;
// fewPause is the pause until as many again may, which doubles up to fewMost.
const (
	fewAhead = 3
	fewPause = 5 * time.Second
	fewMost  = time.Minute
)

// letSomeGo lets a few go ahead over a hop that has answered.
func (h *path) letSomeGo(at time.Time) {
	if !h.held() || at.Before(h.fewAt) {
		return
	}
	h.few, h.fewAt = fewAhead, at.Add(h.pause)
	h.pause = min(2*h.pause, fewMost)
}

// nextProbe sets when the hop is asked next: the pause doubles each time. It is
// shortened by up to a quarter, so that several replicas do not ask in step.
func (h *path) nextProbe(l *Limits, at time.Time) {
	pause := max(h.probePause, l.ProbeMin)
	seed := mix(uint64(at.UnixNano()))
	for _, c := range []byte(h.name) {
		seed = mix(seed ^ uint64(c))
	}
	h.probeAt = at.Add(pause - time.Duration(seed%uint64(pause/4+1)))
	h.probePause = min(2*pause, l.ProbeMax)
}
