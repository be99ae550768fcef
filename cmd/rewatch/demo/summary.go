package demo

import (
	"fmt"
	"strings"
	"time"
)

// summary prints what happened and says whether it was what had to happen.
func (st *stage) summary(verdict error) bool {
	l := st.ladder
	ok := verdict == nil
	l.say("", plain)
	l.say(columns("What happened", "expected", "seen"), telling)
	for _, c := range st.checks {
		ok = st.tell(c) && ok
	}
	st.timings()
	if ok {
		l.say("It works: Alice is back, Bob's trouble was reported and is over, and Dora noticed nothing.", good)
	} else {
		st.failure(verdict)
	}
	st.whereNext()
	return ok
}

func columns(what, want, got string) string {
	return fmt.Sprintf("  %-52s %9s %9s", what, want, got)
}

func (st *stage) tell(c check) bool {
	mark, t := "✓", plain
	if !c.ok() {
		mark, t = "✗", bad
	}
	text := mark + columns(c.what, readable(c.want), readable(c.got))[1:]
	st.ladder.say(text, t)
	return c.ok()
}

func readable(v string) string {
	switch v {
	case "true":
		return "yes"
	case "false":
		return "no"
	default:
		return v
	}
}

// timings are Alice's, as the peers saw them.
func (st *stage) timings() {
	lost := st.seen.first(sighting{peer: "server", method: "NOTIFY", sent: true})
	ended := st.seen.first(sighting{peer: "server", method: "NOTIFY", status: 481})
	told := st.seen.first(sighting{peer: "core", method: "MESSAGE"})
	again := st.seen.first(sighting{peer: "core", method: "SUBSCRIBE", after: told})
	through := st.seen.first(sighting{peer: "server", method: "NOTIFY", status: 200})
	if through.IsZero() || again.IsZero() || ended.IsZero() {
		return
	}
	st.ladder.say("", plain)
	st.ladder.say("  Alice's recovery, step by step", telling)
	st.timing("NOTIFY sent until 481 to the server", ended.Sub(lost), "REWATCH_NOTIFY_TIMEOUT")
	st.timing("481 until MESSAGE", told.Sub(ended), "REWATCH_COALESCE")
	st.timing("MESSAGE until the new SUBSCRIBE", again.Sub(told), "")
	st.timing("SUBSCRIBE until a NOTIFY got through", through.Sub(again), "")
	st.timing("in all", through.Sub(lost), "")
	st.ladder.say("  Without rewatch Alice would have waited for the next refresh, up to an hour.", plain)
	st.ladder.say("", plain)
}

func (st *stage) timing(what string, took time.Duration, variable string) {
	text := fmt.Sprintf("  %-37s %8.1f ms", what, float64(took.Microseconds())/1000)
	if variable != "" {
		text += fmt.Sprintf("   %s=%s", variable, st.rewatch.environ[variable])
	}
	st.ladder.say(text, plain)
}

// failure says what went wrong, with the end of rewatch's log.
func (st *stage) failure(verdict error) {
	l := st.ladder
	if verdict != nil {
		l.say("It did not work: "+verdict.Error(), bad)
	} else {
		l.say("It did not work: see the rows marked ✗.", bad)
	}
	l.say("The end of rewatch's log:", telling)
	for _, r := range []*instance{st.rewatch, st.keeper} {
		for line := range strings.Lines(r.log.String()) {
			l.text(line)
		}
	}
}

func (st *stage) whereNext() {
	l := st.ladder
	l.say("", plain)
	l.say("Where to look next", telling)
	for _, hint := range [][2]string{
		{"make demo ARGS=-keep", "the same, and then the console to look at"},
		{"make demo ARGS=-v", "every message in full"},
		{"make lab", "the same against Kamailio and SIPp, to play with"},
		{"README.md", "how to put it in front of your server"},
	} {
		l.say(fmt.Sprintf("  %-22s %s", hint[0], hint[1]), plain)
	}
}
