package monitor

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// happening is one event, drawn before the time of the bubble begins to pass: of a line,
// and of its phone.
type happening struct {
	what string
	line int
	wait time.Duration
}

// gentle are those after which every subscription goes on.
var gentle = []string{
	"full", "full", "full", "partial", "partial", "partial", "silence", "480", "503", "later", "deaf", "out", "out", "refresh", "REGISTER",
}

// rough are those after which some have ended.
var rough = append(slices.Clone(gentle), "un-SUBSCRIBE", "terminated", "anew", "un-REGISTER", "forgot", "500", "404", "489", "481")

func happenings(of []string) *rapid.Generator[happening] {
	return rapid.Custom(func(t *rapid.T) happening {
		return happening{
			rapid.SampledFrom(of).Draw(t, "what"), rapid.IntRange(0, 2).Draw(t, "line"),
			time.Duration(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 5000), rapid.IntRange(0, 60_000)).Draw(t, "ms")) * time.Millisecond,
		}
	})
}

var answersOfACore = map[string]int{"480": 480, "503": 503, "later": 404, "500": 500, "404": 404, "489": 489, "481": 481}

func (w *tunnel) happen(h happening) {
	l := w.current(h.line)
	w.mu.Lock()
	w.story = append(w.story, time.Since(w.began).String()+" "+h.what+" "+l.id)
	w.mu.Unlock()
	switch h.what {
	case "full", "partial":
		w.notifies(l, h.what == "full", false)
	case "silence", "deaf", "out":
		w.network(l.on, h.what == "silence", h.what == "deaf", 0, -1)
	case "later": // with Retry-After
		w.network(l.on, false, false, 404, 7)
	case "refresh":
		w.refresh(l, 3600)
	case "REGISTER":
		w.registers(3600)
	case "un-REGISTER":
		w.registers(0)
	case "un-SUBSCRIBE":
		w.refresh(l, 0)
	case "terminated":
		w.ends(l, "terminated")
		w.notifies(l, true, true)
	case "forgot":
		w.forgets(l)
	case "anew":
		w.anew(l)
	default:
		w.network(l.on, false, false, answersOfACore[h.what], -1)
	}
	w.stores()
	for range 10 {
		<-time.After(h.wait / 10)
		w.checkStale()
	}
}

// stores writes what has changed to the disk.
func (w *tunnel) stores() {
	batch, _ := w.Source().Collect(1000)
	w.stored = append(w.stored, batch)
}

// current is the newest line to one of three resources.
func (w *tunnel) current(n int) *line {
	on, resource := w.phones[n/2], "sip:bob@ims.test"
	if n == 1 {
		resource = "sip:carol@ims.test"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range slices.Backward(w.lines) {
		if l.on == on && l.resource == resource {
			return l
		}
	}
	return nil
}

// anew is a phone that has started anew, if it reaches the server.
func (w *tunnel) anew(l *line) {
	w.mu.Lock()
	away := l.on.silent || l.on.status != 0
	w.mu.Unlock()
	if away {
		return
	}
	w.registers(3600)
	w.notifies(w.open(l.on, l.resource), true, false)
}

// network sets how a phone is reached.
func (w *tunnel) network(on *set, silent, deaf bool, status, after int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	on.silent, on.deaf, on.status, on.after = silent, deaf, status, after
}

// inTunnel runs one with its Postman, and gives what was wrong.
func inTunnel(t *testing.T, r frame, f func(w *tunnel)) (fault string) {
	t.Helper()
	t.Run("", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTunnel(r)
			ctx, cancel := context.WithCancel(t.Context())
			w.noting = true
			w.work.Go(func() { w.post.Run(ctx) })
			f(w)
			synctest.Wait()
			w.mu.Lock()
			fault = w.fault
			w.mu.Unlock()
			cancel()
			<-time.After(time.Minute)
			w.work.Wait()
		})
	})
	return fault
}

// settled says that each phone that has a subscription has its newest state, and that
// whatever was given up is known to the recovery.
func (w *tunnel) settled() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		switch {
		case l.over != "" || l.forgot || l.vague || w.newer(l) != nil:
		case l.lost && !l.told:
			w.fails("the server has lost %s, and nobody was told", l.id)
		case !l.lost && !l.told && (l.last != l.cseq || l.shows != l.last):
			w.fails("%s has %d, shows %d, the server %d (accepted %v)", l.id, l.last, l.shows, l.cseq, l.accepted)
		}
		if !slices.IsSorted(l.accepted) {
			w.fails("%s out of order: %v", l.id, l.accepted)
		}
	}
}

// newer is the line that has taken the place of another; nil: there is none.
func (w *tunnel) newer(old *line) *line {
	later := w.lines[slices.Index(w.lines, old)+1:]
	at := slices.IndexFunc(later, func(l *line) bool { return l.on == old.on && l.resource == old.resource })
	if at < 0 {
		return nil
	}
	return later[at]
}
