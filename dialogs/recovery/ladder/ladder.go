package ladder

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"rewatch/dialogs"
	"rewatch/policy"
)

const (
	// maxRecoveries bounds the recoveries that are remembered, maxSteps the steps of each; the
	// oldest go first.
	maxRecoveries = 512
	maxSteps      = 64
	// MaxBytes bounds the memory of all recoveries, in bytes; the latest stays in any case.
	MaxBytes = 16 << 20
	// maxWhat bounds the text of a step, in bytes.
	maxWhat = 256
	// A step that is traced up to afterglow after the end still belongs to the recovery, such as
	// the response to the NOTIFY that ended it.
	afterglow = time.Second
	// The steps that lead to a failure are traced before the recovery begins. The last maxPrelude
	// of them, of all users, are kept for preludeLife.
	maxPrelude  = 256
	preludeLife = time.Minute
)

// View is one recovery as the API and the console show it.
type View struct {
	ID       string          `json:"id"`
	AOR      string          `json:"aor"`
	Started  time.Time       `json:"started"`
	Ended    *time.Time      `json:"ended,omitempty"`
	Result   string          `json:"result,omitempty"` // recovered, exhausted or abandoned
	Phase    policy.Phase    `json:"phase"`
	Attempt  int             `json:"attempt"` // MESSAGEs in the present count
	Of       int             `json:"of"`
	Broken   []policy.Broken `json:"broken"`
	More     int             `json:"more,omitempty"`
	Deadline *time.Time      `json:"deadline,omitempty"`
	// Standing is what else holds for the user now (recovery.StandingHeld ...); Hop is the next hop
	// that the user is reached over.
	Standing string `json:"standing,omitempty"`
	Hop      string `json:"hop,omitempty"`
	// Delivery: this is no recovery, because nothing is broken: NOTIFYs are or were kept for the
	// phone. Kept tells how many are kept now.
	Delivery bool           `json:"delivery,omitempty"`
	Kept     *Kept          `json:"kept,omitempty"`
	Steps    []dialogs.Step `json:"steps"`
}

// Ladders remembers the last recoveries and what passed on the wire in them.
type Ladders struct {
	mu      sync.Mutex
	last    uint64 // number of the latest
	all     []*recovery
	latest  map[string]*recovery // by AOR
	bytes   int                  // that all take
	prelude []traced             // a ring; next is where the oldest is
	next    int
}

// recovery is one recovery or delivery.
type recovery struct {
	View
	bytes int // its memory, as it is counted in Ladders
}

// size is the memory that a recovery takes, in bytes.
func (r *recovery) size() int {
	n := int(unsafe.Sizeof(*r)) + perEntry + len(r.AOR) + policy.SizeOf(r.Broken) + cap(r.Steps)*int(unsafe.Sizeof(dialogs.Step{}))
	for i := range r.Steps {
		n += len(r.Steps[i].What)
	}
	return n
}

// perEntry is what a recovery takes in the map and the list, and its times.
const perEntry = 160

// weigh counts what a recovery takes now. Where all take too much the oldest go.
func (l *Ladders) weigh(r *recovery) {
	now := r.size()
	l.bytes += now - r.bytes
	r.bytes = now
	for l.bytes > MaxBytes && len(l.all) > 1 && l.all[0] != r {
		l.drop(0)
	}
}

// traced is a step of a user without a recovery.
type traced struct {
	aor  string
	step dialogs.Step
}

// New makes a Ladders that remembers nothing yet.
func New() *Ladders {
	return &Ladders{latest: make(map[string]*recovery)}
}

// Follow brings the recovery of a user up to date after a decision.
func (l *Ladders) Follow(
	aor string, from, to policy.State, ev policy.Event, actions []policy.Action, threshold int,
) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if to.Episode != from.Episode {
		l.open(aor, ev, threshold)
	}
	r := l.running(aor)
	if r == nil {
		return
	}
	if to.Phase != policy.Idle {
		r.update(to)
	}
	for _, a := range actions {
		if result, ends := Endings[a.Kind]; ends {
			r.end(ev.At, result, to.Phase)
		}
	}
	l.weigh(r)
}

// The results of a recovery.
const (
	ResultRecovered = "recovered"
	ResultExhausted = "exhausted"
	ResultAbandoned = "abandoned"
)

// Endings are the actions that end an episode, with the results.
var Endings = map[policy.ActionKind]string{
	policy.Recovered: ResultRecovered,
	policy.GaveUp:    ResultExhausted,
	policy.Abandoned: ResultAbandoned,
}

// Align brings the recovery of a user up to date with a state from another replica.
func (l *Ladders) Align(aor string, s policy.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.running(aor)
	if r == nil {
		return
	}
	defer l.weigh(r)
	switch s.Phase {
	case policy.Idle:
		r.end(time.Now(), ResultAbandoned, s.Phase)
	case policy.Exhausted:
		r.update(s)
		r.end(time.Now(), ResultExhausted, s.Phase)
	case policy.Gathering, policy.Notifying, policy.Waiting, policy.Proving:
		r.update(s)
	}
}

// running is the recovery of a user that has not ended; nil: there is none.
func (l *Ladders) running(aor string) *recovery {
	if r := l.latest[aor]; r != nil && r.Ended == nil && !r.Delivery {
		return r
	}
	return nil
}

// open begins the recovery of an episode with the steps that led to it.
func (l *Ladders) open(aor string, ev policy.Event, threshold int) {
	if !l.adopt(aor, ev.At, threshold) {
		l.begin(aor, ev.At, threshold)
	}
	r := l.latest[aor]
	r.Broken = []policy.Broken{ev.Sub}
	for i := range l.prelude {
		t := &l.prelude[(l.next+i)%len(l.prelude)]
		if t.aor == aor && ev.At.Sub(t.step.At) < preludeLife {
			r.add(t.step)
			*t = traced{}
		}
	}
}

func (l *Ladders) begin(aor string, at time.Time, threshold int) {
	l.last++
	r := &recovery{View: View{
		ID: strconv.FormatUint(l.last, 10), AOR: aor, Started: at, Of: threshold,
	}}
	if len(l.all) == maxRecoveries {
		l.drop(0)
	}
	l.all = append(l.all, r)
	l.latest[aor] = r
}

// drop forgets the recovery at an index.
func (l *Ladders) drop(at int) {
	if old := l.all[at]; l.latest[old.AOR] == old {
		delete(l.latest, old.AOR)
	}
	l.bytes -= l.all[at].bytes
	l.all = slices.Delete(l.all, at, at+1)
}

// Resume begins the recovery of an episode that was running before a restart.
func (l *Ladders) Resume(aor string, s policy.State, threshold int) {
	if s.Phase == policy.Idle || s.Phase == policy.Exhausted {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(aor, s.Started, threshold)
	r := l.latest[aor]
	r.update(s)
	l.weigh(r)
}

// Trace adds a step that was seen on the wire.
func (l *Ladders) Trace(aor string, s dialogs.Step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.latest[aor]; r != nil && (r.Ended == nil || s.At.Sub(*r.Ended) < afterglow) {
		r.add(s)
		l.weigh(r)
		return
	}
	s.What = short(s.What)
	if len(l.prelude) < maxPrelude {
		l.prelude = append(l.prelude, traced{aor, s})
		return
	}
	l.prelude[l.next] = traced{aor, s}
	l.next = (l.next + 1) % maxPrelude
}

// Add adds a step of rewatch's own, even long after the recovery has ended: a user who was given up
// may be de-registered much later.
func (l *Ladders) Add(aor string, s dialogs.Step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.latest[aor]; r != nil {
		r.add(s)
		l.weigh(r)
	}
}

// Views lists the running recoveries and then the ended ones, each the newest first.
func (l *Ladders) Views() []View {
	l.mu.Lock()
	defer l.mu.Unlock()
	views := make([]View, 0, len(l.all))
	for _, running := range []bool{true, false} {
		for _, r := range slices.Backward(l.all) {
			if (r.Ended == nil) == running {
				v := r.View
				v.Steps = r.inOrder()
				views = append(views, v)
			}
		}
	}
	return views
}

func (r *recovery) add(s dialogs.Step) {
	s.What = short(s.What)
	if len(r.Steps) == maxSteps {
		r.Steps = slices.Delete(r.Steps, 0, 1)
	}
	r.Steps = append(r.Steps, s)
}

// short is the beginning of a text.
func short(text string) string {
	if len(text) > maxWhat {
		return strings.Clone(text[:maxWhat])
	}
	return text
}

// inOrder sorts the steps by time, because the goroutines that add them do not wait for one another.
func (r *recovery) inOrder() []dialogs.Step {
	steps := slices.Clone(r.Steps)
	slices.SortStableFunc(steps, func(a, b dialogs.Step) int { return a.At.Compare(b.At) })
	return steps
}

// update takes over a state, whose slices are never changed.
func (r *recovery) update(s policy.State) {
	r.Phase, r.Attempt, r.Broken, r.More = s.Phase, s.Sent, s.Broken, s.More
	r.Deadline = nil
	if deadline := s.Deadline; !deadline.IsZero() {
		r.Deadline = &deadline
	}
}

func (r *recovery) end(at time.Time, result string, phase policy.Phase) {
	r.Ended, r.Result, r.Phase, r.Deadline = &at, result, phase, nil
	if result == ResultRecovered {
		r.Broken = slices.Clone(r.Broken)
		for i := range r.Broken {
			r.Broken[i].Progress = policy.Proven
		}
	}
}
