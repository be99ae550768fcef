package policy

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// changed lists the fields in which two values differ, with what stands in b. Times
// count from the hour after dawn at which every situation is.
func changed(a, b any) string {
	var words []string
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		x, y := va.Field(i), vb.Field(i)
		if show(x) == show(y) {
			continue
		}
		what := show(y)
		if y.Kind() == reflect.Slice {
			what = entries(x, y)
		}
		words = append(words, fmt.Sprintf("%s %s", va.Type().Field(i).Name, what))
	}
	return strings.Join(words, ", ")
}

// entries tells of each entry of a list what it has else than the one at that place in
// the list before; "=" is the same.
func entries(before, after reflect.Value) string {
	all := []string{}
	for i := range after.Len() {
		switch y := after.Index(i); {
		case i >= before.Len():
			all = append(all, show(y))
		case show(before.Index(i)) == show(y):
			all = append(all, "=")
		case y.Type() == reflect.TypeFor[Broken]():
			all = append(all, changed(before.Index(i).Interface(), y.Interface()))
		default:
			all = append(all, show(y))
		}
	}
	return "[" + strings.Join(all, "; ") + "]"
}

// show tells of a value, and of the fields of a struct those that are not zero.
func show(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Time:
		if x.IsZero() {
			return "never"
		}
		return x.Sub(dawn.Add(time.Hour)).String()
	case fmt.Stringer:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Slice:
		var all []string
		for i := range v.Len() {
			all = append(all, show(v.Index(i)))
		}
		return "[" + strings.Join(all, "; ") + "]"
	case reflect.Struct:
		return "{" + changed(reflect.Zero(v.Type()).Interface(), v.Interface()) + "}"
	default:
		return fmt.Sprint(v.Interface())
	}
}

// rich are the situations in which every field that the phase may have is set, so that
// one which is forgotten or kept by mistake can be seen, and those at the edges.
func rich() []situation {
	now := dawn.Add(time.Hour)
	full := func(s State) State {
		s.Broken = slices.Clone(s.Broken)
		for i := range s.Broken {
			b := &s.Broken[i]
			b.Tag, b.Agent, b.Contact, b.Since = "t1", "phone", "sip:al@a", now.Add(-2*time.Minute)
			if b.Progress != Lost {
				b.By = ByRefresh
			}
		}
		s.Hop = "hop-1"
		if s.Phase != Idle {
			s.More, s.Messaged, s.Signal = 2, now.Add(-50*time.Second), ByNotify
		}
		s.Sent = max(s.Sent, len(s.Strikes))
		s.Recounted = now.Add(-10 * time.Minute)
		s.Devices = append(slices.Clone(s.Devices), Device{ID: "A", Told: true}, Device{ID: "C", Heeds: true, Told: true})
		if s.Alarm {
			s.AlarmAt = now.Add(-30 * time.Second)
		}
		if s.BanAlarm {
			s.BanAlarmAt = now.Add(-20 * time.Second)
		}
		if s.DeregisterAlarm {
			s.DeregisterAlarmAt = now.Add(-10 * time.Second)
		}
		return s
	}
	var all []situation
	for _, in := range situations() {
		if !in.state.Equal(State{}) {
			all = append(all, situation{in.name, full(in.state)})
		}
		change := func(name string, change func(*State)) {
			s := full(in.state)
			change(&s)
			all = append(all, situation{in.name + ", " + name, s})
		}
		switch in.name {
		case "idle, a strike has had its time":
			change("so have all", func(s *State) { s.Strikes = []time.Time{now.Add(-25 * time.Hour), now.Add(-24 * time.Hour)} })
			change("the older ones are not known", func(s *State) { s.Sent, s.Strikes = 3, []time.Time{now} })
			change("there is none", func(s *State) { s.Sent, s.Strikes = 0, nil })
			change("nothing else is known", func(s *State) { s.Strikes, s.Sent, s.Devices, s.Recounted = []time.Time{now}, 1, nil, time.Time{} })
		case "exhausted, kept":
			change("more strikes than an outage can give back", func(s *State) { s.Sent = 2 * standard().Threshold })
		case "notifying":
			change("the count has begun anew", func(s *State) { s.Sent, s.Strikes = 0, nil })
			change("excused, charged", func(s *State) { s.Excused, s.UnchargedSent, s.Sent, s.Strikes = true, 1, 0, nil })
			change("excused, not charged", func(s *State) { s.Excused, s.UnchargedSent = true, 0 })
			change("excused, the last that may be unheard", func(s *State) { s.Excused, s.UnchargedSent, s.Tries = true, 1, maxUnheard })
			change("excused, one more than may be unheard", func(s *State) { s.Excused, s.UnchargedSent, s.Tries = true, 1, maxUnheard+1 })
		case "waiting, the count is full":
			change("the refresh of another that is back is to come", func(s *State) {
				b := s.Broken[0]
				b.Resource, b.Progress, b.Due = "eve", Resubscribed, now.Add(time.Hour)
				s.Broken = append(s.Broken, b)
			})
			change("the refresh of another device is to come", func(s *State) {
				b := s.Broken[0]
				b.Device, b.Contact, b.Due = "B", "sip:al@b", now.Add(time.Hour)
				s.Broken = append(s.Broken, b)
			})
		case "waiting", "proving", "gathering":
			change("and another", func(s *State) {
				b := s.Broken[0]
				b.Event, b.Progress, b.Told = "presence;id=7", Lost, false
				s.Broken = append(s.Broken, b)
			})
			change("excused", func(s *State) { s.Excused, s.UnchargedSent, s.Deadline = true, 1, now.Add(time.Hour) })
		}
	}
	return all
}

// told are the events of the matrix, in which the caller says all that it may.
func told(s State, k EventKind) []variant {
	var all []variant
	for _, v := range variants(s, k) {
		v.Hop, v.Sub.Tag, v.Sub.Agent, v.Sub.Contact = "hop-2", "t2", "desk", "sip:al@a"
		v.Sub.Due, v.Sub.Since = v.At.Add(time.Minute), v.At.Add(-time.Second)
		all = append(all, v)
		switch k {
		case NotifyFailed: // as it is taken from a state
			v.Sub.Progress, v.Sub.Renewed, v.Sub.By, v.Sub.Told = Proven, "call-7", ByItself, true
			v.what += ", as it stood in a state"
		case NotifyOK, Subscribed, Registered, Refreshed, MessageDone:
			v.By = ByRedelivery
			v.what += ", by redelivery"
		default:
			continue
		}
		all = append(all, v)
	}
	return all
}

// TestFields tells of every field that an event changes, where the matrix and the
// scripts tell of those that matter to a reader. What comes of an event is told once for
// the variants of it that follow each other and come to the same.
func TestFields(t *testing.T) {
	var out strings.Builder
	for _, in := range rich() {
		fmt.Fprintf(&out, "%s\n", in.name)
		for k := NotifyFailed; k <= Refreshed; k++ {
			last := ""
			for _, e := range told(in.state, k) {
				became := became(in.state, e.Event)
				if became != last {
					fmt.Fprintf(&out, "  %s: %s\n", e.what, became)
				}
				last = became
			}
		}
	}
	golden(t, "testdata/fields.golden", out.String())
}

// became tells what an event changes in a state, and what is done.
func became(s State, e Event) string {
	next, actions := Decide(standard(), s, e)
	words := []string{changed(s, next)}
	for _, a := range actions {
		usual := Action{
			Kind: a.Kind, Episode: s.Episode, Attempt: next.Sent, Of: standard().Threshold, Try: next.Tries, Excused: next.Excused,
			Broken: s.Broken, More: s.More,
		}
		words = append(words, strings.TrimSpace(a.Kind.String()+" "+changed(usual, a)))
	}
	return strings.Join(words, " -> ")
}

// A tag tells dialogs apart where both have one.
func TestSameDialog(t *testing.T) {
	for _, c := range []struct {
		a, b Broken
		want bool
	}{
		{Broken{CallID: "1", Tag: "x"}, Broken{CallID: "1", Tag: "x"}, true},
		{Broken{CallID: "1", Tag: "x"}, Broken{CallID: "1", Tag: "y"}, false},
		{Broken{CallID: "1", Tag: "x"}, Broken{CallID: "1"}, true},
		{Broken{CallID: "1"}, Broken{CallID: "1"}, true},
		{Broken{CallID: "1", Tag: "x"}, Broken{CallID: "2", Tag: "x"}, false},
		{Broken{CallID: "1"}, Broken{CallID: "2"}, false},
	} {
		if c.a.SameDialog(c.b) != c.want || c.b.SameDialog(c.a) != c.want {
			t.Errorf("%+v and %+v: %t expected", c.a, c.b, c.want)
		}
	}
}

// Waits that double stop at the first that is a day or more.
func TestDouble(t *testing.T) {
	for _, c := range []struct {
		from time.Duration
		n    int
		want time.Duration
	}{
		{time.Second, -1, time.Second},
		{time.Second, 0, time.Second},
		{time.Second, 3, 8 * time.Second},
		{longest / 4, 1, longest / 2},
		{longest / 4, 9, longest},
		{longest - 1, 9, 2*longest - 2},
		{longest + 1, 9, longest + 1},
	} {
		if got := double(c.from, c.n); got != c.want {
			t.Errorf("%s doubled %d times is %s, want %s", c.from, c.n, got, c.want)
		}
	}
}

// TestMergeFields merges every two situations that two replicas may have of a user. The
// line tells what the outcome has else than the one which is believed, in either order.
func TestMergeFields(t *testing.T) {
	var out strings.Builder
	all := rich()
	for i, a := range all {
		fmt.Fprintf(&out, "%s\n", a.name)
		for _, b := range all[i:] {
			last := ""
			for later := range uint64(2) {
				b.state.Episode += later
				if tied(a.state, b.state) && !a.state.Equal(b.state) {
					continue // either may be believed
				}
				one, other := Merge(standard(), a.state, b.state), Merge(standard(), b.state, a.state)
				first, second := changed(a.state, one), changed(b.state, one)
				line := "first " + first
				if len(second) < len(first) {
					line = "second " + second
				}
				if order := changed(one, other); order != "" {
					line += " | " + order
				}
				if line != last {
					fmt.Fprintf(&out, "  %s%s: %s\n", b.name, [...]string{"", ", an episode later"}[later], line)
				}
				last = line
			}
		}
	}
	golden(t, "testdata/merge.golden", out.String())
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	want, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	compare(t, file, got, string(want))
}
