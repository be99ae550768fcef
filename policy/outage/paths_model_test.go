package outage

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is the rule of proof once more, from the whole history, which Paths must not
// keep. It knows hops that are shared ("core-0", "core-1") and phones that are hops of
// their own.
type model struct {
	passes, fails map[string][]mark // of the path that a hop is judged by
	sent          map[string][]time.Time
	answers       map[string][]time.Time
	silences      map[string][]time.Time // when OPTIONS was sent in vain
	asking        map[string]time.Time
	held          map[string]bool
	ended         map[string]time.Time
	began         map[string]time.Time
}

func newModel() *model {
	return &model{
		passes: map[string][]mark{}, fails: map[string][]mark{}, sent: map[string][]time.Time{},
		answers: map[string][]time.Time{}, silences: map[string][]time.Time{}, asking: map[string]time.Time{},
		held: map[string]bool{}, ended: map[string]time.Time{}, began: map[string]time.Time{},
	}
}

const poolName = ""

// judged is the name of the path that a hop is judged by.
func judged(hop string) string {
	if hop[:4] == "core" {
		return hop
	}
	return poolName
}

func latest(times []time.Time) time.Time {
	var last time.Time
	for _, at := range times {
		last = later(last, at)
	}
	return last
}

// last is the latest mark of those for whom is is true, since the last hold ended.
func last(marks []mark, is func(uint64) bool) time.Time {
	var all []time.Time
	for _, m := range marks {
		if is(m.user) {
			all = append(all, m.at)
		}
	}
	return latest(all)
}

func anybody(uint64) bool { return true }

func (m *model) failed(t *Try) {
	path := judged(t.Hop)
	if t.Sent.Before(m.ended[path]) {
		return
	}
	m.fails[path] = append(m.fails[path], mark{t.User, t.At})
	m.sent[path] = append(m.sent[path], t.Sent)
}

// since gives the users who failed since anything got through, and when the first of
// their requests was sent, or that was.
func (m *model) since(path string) (users map[uint64]bool, first time.Time) {
	users = map[uint64]bool{}
	passed := last(m.passes[path], anybody)
	for i, f := range m.fails[path] {
		if !f.at.After(passed) {
			continue
		}
		users[f.user] = true
		if from := later(m.sent[path][i], passed); first.IsZero() || from.Before(first) {
			first = from
		}
	}
	return users, first
}

// verdict judges, and holds. A core that has just come back may stumble.
func (m *model) verdict(now time.Time, t *Try) Verdict {
	v := m.strict(now, t)
	ended := m.ended[judged(t.Hop)]
	if (v == Proven || v == Unproven) && !t.Refused && !ended.IsZero() && t.Sent.Sub(ended) < 10*time.Second {
		return Outage
	}
	return v
}

func (m *model) strict(now time.Time, t *Try) Verdict {
	path := judged(t.Hop)
	others := func(user uint64) bool { return user != t.User }
	if m.held[path] || t.Sent.Before(m.ended[path]) {
		return Outage
	}
	if p := last(m.passes[path], others); !p.IsZero() && !p.Before(t.Sent) {
		if t.Unreachable && path != poolName {
			return Outage
		}
		return Proven
	}
	if t.Unreachable && t.Core {
		return m.hold(path, now)
	}
	fail := last(m.fails[path], others)
	if fail.After(last(m.passes[path], anybody)) && now.Sub(fail) <= 5*time.Minute {
		return m.several(now, t, path)
	}
	return m.alone(now, t, path)
}

func (m *model) several(now time.Time, t *Try, path string) Verdict {
	users, first := m.since(path)
	timedOut := !t.Refused && t.At.Sub(t.Sent) >= time.Second
	switch {
	case path == poolName && len(users) < 10:
		return Unproven
	case timedOut || now.Sub(first) >= 28*time.Second:
		return m.hold(path, now)
	case path == poolName:
		return Unproven
	case m.inVain(path, first):
		return m.hold(path, now)
	case latest(m.answers[path]).Before(first):
		return m.ask(path, now)
	default:
		return Wait
	}
}

func (m *model) alone(now time.Time, t *Try, path string) Verdict {
	switch {
	case t.Refused:
		return Proven
	case path == poolName:
		return Unproven
	case m.inVain(path, t.Sent) && (t.Final || len(m.answers[path]) > 0):
		return m.hold(path, now)
	case m.inVain(path, t.Sent):
		return Unproven
	case len(m.answers[path]) > 0 && !latest(m.answers[path]).Before(t.Sent):
		return Proven
	default:
		return m.ask(path, now)
	}
}

// inVain says whether the last OPTIONS since then had no answer.
func (m *model) inVain(hop string, then time.Time) bool {
	silence := latest(m.silences[hop])
	return silence.After(latest(m.answers[hop])) && !silence.Before(then)
}

func (m *model) ask(hop string, now time.Time) Verdict {
	if !m.asking[hop].IsZero() {
		return Wait
	}
	m.asking[hop] = now
	return Ask
}

func (m *model) hold(path string, now time.Time) Verdict {
	m.held[path], m.began[path] = true, now
	return Outage
}

func (m *model) passed(hop string, user uint64, now time.Time) {
	path := judged(hop)
	m.passes[path] = append(m.passes[path], mark{user, now})
	if path == poolName {
		m.passes[hop] = append(m.passes[hop], mark{user, now})
	}
	m.end(path, now)
}

func (m *model) end(path string, now time.Time) {
	if m.held[path] {
		m.held[path], m.ended[path] = false, now
		m.fails[path], m.sent[path] = nil, nil
	}
}

func (m *model) blame(now time.Time, hop string, user uint64, told time.Time) Verdict {
	path := judged(hop)
	from := later(now.Add(-5*time.Second), m.ended[path])
	others := func(u uint64) bool { return u != user }
	fail := last(m.fails[path], others)
	switch {
	case m.held[path]:
		return Outage
	case !last(m.passes[path], anybody).Before(from):
		return Proven
	case fail.After(last(m.passes[path], anybody)) && now.Sub(fail) <= 5*time.Minute:
		return Wait
	case m.inVain(hop, from) && len(m.answers[hop]) == 0 && !last(m.passes[hop], anybody).Before(told):
		return Proven
	case m.inVain(hop, from) && path != poolName:
		return m.hold(path, now)
	case m.inVain(hop, from):
		return Wait
	case !latest(m.answers[hop]).Before(from):
		return Proven
	default:
		return m.ask(hop, now)
	}
}

// history drives both.
type history struct {
	*model
	paths *Paths
	now   time.Time
	tries []Try
}

func (h *history) step(t *rapid.T) string {
	h.now = h.now.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 1, 10, 100, 280, 1200}).Draw(t, "later")) * 100 * time.Millisecond)
	hop := rapid.SampledFrom([]string{"core-0", "core-1", "phone-"}).Draw(t, "hop")
	who := uint64(rapid.IntRange(1, 12).Draw(t, "user"))
	if hop == "phone-" {
		hop += fmt.Sprint(who)
	}
	switch what := rapid.IntRange(0, 9).Draw(t, "what"); what {
	case 0, 1, 2, 3:
		return h.fail(t, hop, who)
	case 4:
		var got Passes
		got.Add(h.now, who)
		h.paths.Passed(h.now, hop, got)
		h.passed(hop, who, h.now)
		return fmt.Sprintln("passed", hop, who)
	case 5:
		told := h.now.Add(-time.Duration(rapid.IntRange(0, 9).Draw(t, "told")) * 10 * time.Second)
		want := h.blame(h.now, hop, who, told)
		if got, _ := h.paths.MayBlame(h.now, hop, who, told, hop[:4] == "core"); got != want {
			t.Fatalf("blame %s %d: %s, want %s", hop, who, got, want)
		}
		return fmt.Sprintln("blame", hop, who, want)
	case 6:
		if asked := h.asking[hop]; !asked.IsZero() {
			ok := rapid.Bool().Draw(t, "ok")
			h.answered(hop, asked, ok)
			return fmt.Sprintln("answered", hop, ok)
		}
	case 7:
		if len(h.tries) > 0 {
			try := rapid.SampledFrom(h.tries).Draw(t, "try")
			want := h.verdict(h.now, &try)
			if got, _ := h.paths.Judge(h.now, try); got != want {
				t.Fatalf("judge %+v: %s, want %s", try, got, want)
			}
			return fmt.Sprintln("judge", try.Hop, try.User, want)
		}
	case 8:
		if rapid.IntRange(0, 4).Draw(t, "by hand") == 0 {
			h.paths.End(h.now, judged(hop))
			h.end(judged(hop), h.now)
			return fmt.Sprintln("end", hop)
		}
	}
	return "nothing\n"
}

func (h *history) answered(hop string, asked time.Time, ok bool) {
	h.paths.Answered(h.now, hop, asked, ok)
	delete(h.asking, hop)
	if ok {
		h.answers[hop] = append(h.answers[hop], h.now)
	} else {
		h.silences[hop] = append(h.silences[hop], asked)
	}
}

func (h *history) fail(t *rapid.T, hop string, who uint64) string {
	try := Try{
		Hop: hop, User: who, At: h.now, Core: hop[:4] == "core",
		Sent:        h.now.Add(-time.Duration(rapid.SampledFrom([]int{0, 1, 9, 10, 11, 280, 320}).Draw(t, "took")) * 100 * time.Millisecond),
		Refused:     rapid.IntRange(0, 3).Draw(t, "refused") == 0,
		Unreachable: rapid.IntRange(0, 9).Draw(t, "unreachable") == 0,
		Final:       rapid.IntRange(0, 2).Draw(t, "final") == 0,
	}
	h.tries = append(h.tries, try)
	h.failed(&try)
	want := h.verdict(h.now, &try)
	if got, _ := h.paths.Failed(try); got != want {
		t.Fatalf("%+v: %s, want %s", try, got, want)
	}
	return fmt.Sprintf("failed %s %d sent %s: %s\n", hop, who, try.At.Sub(try.Sent), want)
}

// check compares what is held.
func (h *history) check(t *rapid.T) {
	any := false
	for _, path := range []string{"core-0", "core-1", poolName} {
		any = any || h.held[path]
		if got := h.paths.Held(path); got != h.held[path] {
			t.Fatalf("held %q: %v, want %v", path, got, h.held[path])
		}
		if got := h.paths.Ended(path); !got.Equal(h.ended[path]) {
			t.Fatalf("ended %q: %v, want %v", path, got, h.ended[path])
		}
	}
	if h.paths.Any() != any {
		t.Fatalf("any: %v, want %v", !any, any)
	}
	for _, r := range h.paths.Holds() {
		if !r.At.Equal(h.began[r.Hop]) || r.Since.After(r.At) || r.At.Sub(r.Since) > 5*time.Minute {
			t.Fatalf("%+v began at %v", r, h.began[r.Hop])
		}
	}
}

// Whatever happens, the verdicts are those of the whole history.
func TestVerdictsAreThoseOfTheWholeHistory(t *testing.T) { rapid.Check(t, wholeHistory) }

func wholeHistory(t *rapid.T) {
	h := &history{model: newModel(), paths: NewPaths(Limits{Ratio: 1}), now: dawn}
	for _, hop := range []string{"core-0", "core-1"} {
		var two Passes
		for who := range uint64(2) {
			two.Add(h.now, 20+who)
			h.passed(hop, 20+who, h.now)
		}
		h.paths.Passed(h.now, hop, two)
	}
	story := ""
	defer func() {
		if t.Failed() {
			t.Log(story)
		}
	}()
	for range rapid.IntRange(1, 120).Draw(t, "steps") {
		what := h.step(t)
		story += h.now.Sub(dawn).String() + " " + what
		h.check(t)
	}
}
