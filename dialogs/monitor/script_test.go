package monitor

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/dialogstest"
)

var updateLadders = flag.Bool("update-monitor", false, "rewrite testdata")

// TestMonitorScripts plays testdata/*.txt. A script is what passes by,
// one line each, and indented beneath it what the Monitor says and offers.
func TestMonitorScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file) // #nosec G304 -- a test's own file
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = play(t, string(text)) })
			if *updateLadders {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("got:\n%s\nwant:\n%s", got, text)
			}
		})
	}
}

// stage is one running script.
type stage struct {
	m    *Monitor
	rec  *recorder
	reg  *prometheus.Registry
	refs map[string]dialogs.Ref
	cseq map[string]uint32
}

func play(t *testing.T, text string) string {
	s := &stage{rec: newRecorder(), reg: prometheus.NewRegistry(), refs: map[string]dialogs.Ref{}, cseq: map[string]uint32{}}
	cfg := Config{NotifyTimeout: 28 * time.Second}
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
			continue
		case words[0] == "config":
			configure(t, &cfg, s.rec, words[1:])
			continue
		case s.m == nil:
			s.m = New(NewTable(cfg, s.reg), s.rec, zerolog.Nop(), s.reg)
			s.m.Start(t.Context())
		}
		said := s.command(t, words)
		for _, l := range append(said, s.rec.take()...) {
			fmt.Fprintln(&out, "  "+l)
		}
	}
	if err := s.m.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	return out.String()
}

func configure(t *testing.T, cfg *Config, rec *recorder, words []string) {
	for _, w := range words {
		switch w {
		case "rfc":
			cfg.FailureRFC = true
		case "passthrough":
			cfg.Answer = AnswerPassthrough
		case "silent":
			cfg.Answer = AnswerSilent
		case "signal-notify":
			cfg.SignalNotify = true
		case "dry-run":
			cfg.DryRun = dialogs.NewDryRun(true)
		case "ladder":
			rec.ladder = true
		case "routing":
			cfg.RoutingFault = func(hop netip.AddrPort, _ string, status int) {
				rec.add(fmt.Sprintf("routing fault %v %d", hop, status))
			}
		default:
			if limit, ok := strings.CutPrefix(w, "max="); ok {
				cfg.MaxSubscriptions = number(limit)
			} else if pattern, ok := strings.CutPrefix(w, "recover="); ok {
				cfg.Recover = aor.Pattern(pattern).Matches
			} else if events, ok := strings.CutPrefix(w, "events="); ok {
				cfg.Events = strings.Split(events, ",")
			} else {
				t.Fatalf("config %s?", w)
			}
		}
	}
}

// command plays one line and gives what the Monitor answered.
func (s *stage) command(t *testing.T, words []string) []string {
	switch words[0] {
	case "SUBSCRIBE":
		return ruling(s.m.Subscribe(message(t, dialogs.Core, words[1:])))
	case "REGISTER":
		return ruling(s.m.Register(message(t, dialogs.Core, words[1:])))
	case "NOTIFY":
		msg := message(t, dialogs.Server, words[2:])
		ref, r := s.m.Notify(msg)
		s.refs[words[1]], s.cseq[words[1]] = ref, msg.CSeq
		if ref == 0 && r == (dialogs.Ruling{}) {
			return []string{"forward, not tracked"}
		}
		return ruling(r)
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(d)
		synctest.Wait()
		return nil
	case "interested":
		s.rec.interested[words[1]] = true
		return nil
	case "ban":
		s.rec.banned[words[1]] = true
		return nil
	case "signed-out":
		s.m.SignedOut(s.m.User(words[1]))
		return nil
	case "user":
		u := s.m.User(words[1])
		which := fmt.Sprintf(" Until:%s Request:%d", u.Until, u.Request) // which no script is about
		return []string{strings.Replace(fmt.Sprintf("%+v", u), which, "", 1)}
	case "list":
		return s.list()
	case "metric":
		return []string{fmt.Sprint(gather(s.reg)[words[1]])}
	case "terminate":
		job, ok := s.m.Termination(words[1], words[2], words[3])
		return []string{fmt.Sprintf("%v %q cseq=%d", ok, job.Head, job.CSeq)}
	}
	status, err := strconv.Atoi(words[0])
	if err != nil {
		return s.outcome(t, words)
	}
	msg := message(t, dialogs.Server, words[2:])
	msg.Status, msg.Reason = status, []byte("Reason")
	if words[1] == "REGISTER" {
		s.m.RegisterDone(msg)
	} else {
		s.m.SubscribeDone(msg)
	}
	return nil
}

// outcome plays "n1 480 Gone retry-after=3", "n1 timeout", "n1 late 200".
func (s *stage) outcome(t *testing.T, words []string) []string {
	name := words[0]
	ref, ok := s.refs[name]
	if !ok {
		t.Fatalf("what is %q?", words)
	}
	o := dialogs.Outcome{
		At: time.Now(), RetryAfter: -1, CSeq: s.cseq[name], Head: []byte("NOTIFY head of " + name),
		Hop: netip.MustParseAddrPort("10.0.0.9:5060"),
	}
	for _, w := range words[1:] {
		switch {
		case w == "timeout":
			o.Kind = dialogs.TimedOut
		case w == "unreachable":
			o.Kind = dialogs.Unreachable
		case w == "late":
			o.Late = true
		case strings.HasPrefix(w, "retry-after="):
			o.RetryAfter = number(w[len("retry-after="):])
		case strings.HasPrefix(w, "tried="):
			o.Tries = append(o.Tries, dialogs.Try{Why: w[len("tried="):], At: o.At, Hop: o.Hop, Transport: "udp"})
		case number(w) > 0:
			o.Status = number(w)
		default:
			o.Reason = []byte(w)
		}
	}
	v := s.m.NotifyDone(ref, o)
	said := "silence"
	switch {
	case v.Relay:
		said = "relay"
	case v.Status != 0:
		said = fmt.Sprint(v.Status, " ", v.Reason)
	}
	s.m.Announce(ref, o.CSeq)
	return []string{said}
}

func (s *stage) list() (lines []string) {
	page, _ := s.m.Subscriptions("", 0)
	for _, v := range page {
		lines = append(lines, fmt.Sprintf("%s %s watches %s (%s), %s", v.CallID, v.Watcher, v.Resource, v.Event, v.State))
	}
	if len(page) == 0 {
		return []string{"nothing"}
	}
	slices.Sort(lines) // the shards are not in any order
	return lines
}

func ruling(r dialogs.Ruling) []string {
	switch {
	case r.Silent:
		return []string{"silence"}
	case r.Status != 0:
		return []string{fmt.Sprint("answer ", r.Status, " ", r.Reason)}
	}
	return []string{"forward"}
}

// message reads call=, from=uri[#tag], to=uri[#tag], event=, state=, expires=,
// cseq=, contact=, pai= and uri=.
func message(t *testing.T, side dialogs.Side, words []string) *dialogs.Message {
	msg := &dialogs.Message{
		At: time.Now(), Side: side, Source: netip.MustParseAddrPort("10.0.0.7:5060"), Transport: "tcp",
		Expires: -1, State: dialogstest.State(""),
	}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		uri, tag, _ := strings.Cut(value, "#")
		switch b := []byte(value); key {
		case "call":
			msg.CallID = b
		case "from":
			msg.FromURI, msg.FromTag = []byte(uri), []byte(tag)
		case "to":
			msg.ToURI, msg.ToTag = []byte(uri), []byte(tag)
		case "event":
			msg.Event = dialogstest.Event(value)
		case "state":
			msg.State = dialogstest.State(value)
		case "contact":
			msg.Contacts = dialogstest.Contacts(value)
		case "pai":
			msg.Identities = dialogstest.Identities(value)
		case "uri":
			msg.RequestURI = b
			if msg.Side == dialogs.Server {
				msg.Contacts = dialogstest.Target(value)
			}
		case "expires":
			msg.Expires = number(value)
		case "cseq":
			msg.CSeq = uint32(number(value)) // #nosec G115 -- a test's own number
		default:
			t.Fatalf("%s?", w)
		}
	}
	return msg
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
