package outage

import (
	"bufio"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden scripts in testdata")

// dawn is when every test begins; the scripts count from it.
var dawn = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func user(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}

// TestPaths plays testdata/*.txt. A line that begins at the margin is something that
// happens; the indented lines below it are what follows, and are written by -update.
//
//	limits ratio=0.3 quiet=5s         the limits, before anything else
//	1s   passed core alice bob        they got through over the hop core
//	28s  failed core alice 0s silent  a request failed that was sent then;
//	                                  also refused, unreachable, core, final
//	29s  judge                        the last one that failed is judged again
//	30s  blame core alice 29s         may alice be blamed, who was told then?
//	31s  answered core 29s yes        the outcome of an OPTIONS that was sent then
//	32s  tick                         once; "until 40s" ticks whenever it is due
//	32s  ahead core                   may somebody go ahead?
//	33s  end core                     by hand
//	34s  waits core                   from now on somebody waits for it; "leaves core" ends that
//	35s  restart                      another process takes up what is held
//	36s  held core                    is it?
//	37s  swarm core 20 40s 30s        so many others fail, from there to here, a request each
//	38s  crowd core 200               so many others get through
func TestPaths(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := (&script{t: t, waiting: map[string]bool{}}).play(string(want))
			if got == string(want) {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("rewrite with -update; it is now:\n%s", got)
		})
	}
}

type script struct {
	t       *testing.T
	p       *Paths
	limits  Limits
	out     strings.Builder
	now     time.Time
	last    Try
	waiting map[string]bool
}

func (s *script) play(text string) string {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "    ") {
			continue // an outcome, written anew
		}
		fmt.Fprintln(&s.out, line)
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "limits":
			s.readLimits(words[1:])
		default:
			if s.p == nil {
				s.p = NewPaths(s.limits)
			}
			s.now = s.at(words[0])
			if len(words) > 2 && words[2] == "-" {
				words[2] = "" // a hop that is not known
			}
			s.step(words[1], words[2:])
		}
	}
	return s.out.String()
}

func (s *script) at(word string) time.Time {
	d, err := time.ParseDuration(word)
	if err != nil {
		s.t.Fatal(err)
	}
	return dawn.Add(d)
}

func (s *script) number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) readLimits(words []string) {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch key {
		case "ratio":
			s.limits.Ratio, err = strconv.ParseFloat(value, 64)
		case "hops":
			s.limits.MaxHops, err = strconv.Atoi(value)
		case "off":
			s.limits.Off = true
		default:
			s.t.Fatalf("unknown limit %q", key)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *script) step(what string, words []string) {
	switch what {
	case "passed":
		var got Passes
		for _, name := range words[1:] {
			got.Add(s.now, user(name))
		}
		s.say(s.p.Passed(s.now, words[0], got))
	case "crowd":
		var all Passes
		for i := range s.number(words[1]) {
			var one Passes
			one.Add(s.now, user(fmt.Sprint("crowd-", i)))
			all.Join(&one)
		}
		s.say(s.p.Passed(s.now, words[0], all))
	case "failed":
		s.failed(words)
	case "swarm":
		for i := range s.number(words[1]) {
			_, notices := s.p.Failed(Try{
				Hop: words[0], User: user(fmt.Sprint("swarm-", i)), Sent: s.at(words[2]), At: s.now, Core: words[0] == "core",
			})
			s.say(notices)
		}
	case "judge":
		v, notices := s.p.Judge(s.now, s.last)
		s.line("%s", v)
		s.say(notices)
	case "blame":
		var told time.Time
		if len(words) > 2 && words[2] != "core" {
			told = s.at(words[2])
		}
		v, notices := s.p.MayBlame(s.now, words[0], user(words[1]), told, slices.Contains(words[2:], "core"))
		s.line("%s", v)
		s.say(notices)
	case "answered":
		s.say(s.p.Answered(s.now, words[0], s.at(words[1]), words[2] == "yes"))
	case "end":
		s.say(s.p.End(s.now, words[0]))
	default:
		s.look(what, words)
	}
}

// look is a step that asks, or lets time pass.
func (s *script) look(what string, words []string) {
	switch what {
	case "tick":
		s.tick()
	case "until":
		for end := s.at(words[0]); ; {
			next := s.p.Next()
			if next.IsZero() || next.After(end) {
				break
			}
			s.now = next
			s.tick()
		}
	case "next":
		if next := s.p.Next(); !next.IsZero() {
			s.line("at %s", next.Sub(dawn))
		} else {
			s.line("never")
		}
	case "ahead":
		s.line("%v", s.p.GoAhead(words[0]))
	case "held":
		s.line("%v, by %q, any %v, ended %v", s.p.Held(words[0]), s.p.JudgedBy(words[0]), s.p.Any(), !s.p.Ended(words[0]).IsZero())
	case "waits":
		s.waiting[words[0]] = true
	case "leaves":
		s.waiting[words[0]] = false
	case "restart":
		records := s.p.Holds()
		s.p = NewPaths(s.limits)
		for _, r := range records {
			s.line("%q restored %v, twice %v", r.Hop, s.p.Restore(r, s.now), s.p.Restore(r, s.now))
		}
	default:
		s.t.Fatalf("unknown step %q", what)
	}
}

func (s *script) failed(words []string) {
	s.last = Try{Hop: words[0], User: user(words[1]), Sent: s.at(words[2]), At: s.now}
	for _, w := range words[3:] {
		switch w {
		case "silent":
		case "refused":
			s.last.Refused = true
		case "unreachable":
			s.last.Unreachable = true
		case "core":
			s.last.Core = true
		case "final":
			s.last.Final = true
		default:
			s.t.Fatalf("unknown word %q", w)
		}
	}
	v, notices := s.p.Failed(s.last)
	s.line("%s", v)
	s.say(notices)
}

func (s *script) tick() {
	ask, notices := s.p.Tick(s.now, func(hop string) bool { return s.waiting[hop] })
	for _, hop := range ask {
		s.line("%s: OPTIONS to %s", s.now.Sub(dawn).Truncate(time.Second), hop)
	}
	s.say(notices)
}

func (s *script) line(format string, args ...any) { fmt.Fprintf(&s.out, "    "+format+"\n", args...) }

func (s *script) say(notices []Notice) {
	for _, n := range notices {
		hop := n.Hop
		if hop == "" {
			hop = "the others"
		}
		switch n.Kind {
		case Began:
			s.line("%s: held (%s), %d watchers, since %s", hop, n.Reason, n.Watchers, n.Since.Sub(dawn))
		case Ended:
			s.line("%s: held no more (%s) at %s, began at %s", hop, n.Why, n.At.Sub(dawn), n.Record.At.Sub(dawn))
		case Settled:
			s.line("%s: settled", hop)
		}
	}
}
