package periods

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// told is an Engine that notes what it is offered. It knows and minds everybody but those
// whose name begins with "stranger".
type told struct {
	dialogs.Recovery
	list []string
}

func (l *told) Offer(aor string, e policy.Event) { l.list = append(l.list, e.Kind.String()+" "+aor) }
func (l *told) Known(aor string) bool            { return !strings.HasPrefix(aor, "stranger") }
func (l *told) Interested(aor string) bool       { return l.Known(aor) }

func (l *told) take() []string {
	list := l.list
	l.list = nil
	return list
}

// own is what this process knows.
type own struct {
	dialogs.Directory
	registered map[string]bool
}

func (o *own) User(aor string) dialogs.User {
	return dialogs.User{AOR: aor, Registered: o.registered[aor], LastHop: "sip:hop"}
}

// shelf is a Journal with registrations: user, until, S-CSCF.
type shelf struct {
	values map[string]string
	err    error
	reads  int
}

func (s *shelf) Write(context.Context, []store.Entry) error { return nil }
func (s *shelf) Entries(context.Context, store.Kind) iter.Seq2[store.Entry, error] {
	return func(func(store.Entry, error) bool) {}
}

func (s *shelf) Read(_ context.Context, _ store.Kind, key string) (store.Entry, bool, error) {
	s.reads++
	v, ok := s.values[key]
	return store.Entry{Key: key, Value: []byte(v)}, ok && s.err == nil, s.err
}

// read reads "SECONDS IDENTITY...".
func read(value []byte) (Registration, error) {
	words := strings.Fields(string(value))
	var seconds int
	if _, err := fmt.Sscan(words[0], &seconds); err != nil {
		return Registration{}, err
	}
	return Registration{Until: dawn.Add(time.Duration(seconds) * time.Second), SCSCF: "sip:scscf", Identities: words[1:]}, nil
}

var dawn = time.Now()

func expect(t *testing.T, l *told, want ...string) {
	t.Helper()
	if got := l.take(); !slices.Equal(got, want) {
		t.Errorf("offered %q, want %q", got, want)
	}
}

// Who knows its users alone says at once what a REGISTER means.
func TestAlone(t *testing.T) {
	l := &told{}
	p := New(l, &own{}, nil)
	p.Ask("al", dawn)
	p.Began("al", dawn, false, true, policy.Broken{})
	expect(t, l, "registered al")
	p.Began("al", dawn, true, true, policy.Broken{}) // the old one had lapsed
	expect(t, l, "deregistered al", "registered al")
	p.Began("al", dawn, false, false, policy.Broken{})
	p.Began("stranger", dawn, false, false, policy.Broken{})
	expect(t, l, "refreshed al")
	p.Lapsed("al", dawn)
	expect(t, l, "deregistered al")
}

// Where others know the same users the Journal is asked what a REGISTER means, or a lapse.
func TestShared(t *testing.T) {
	l, o, j := &told{}, &own{registered: map[string]bool{}}, &shelf{values: map[string]string{}}
	var learnt []string
	d := Share(o, j, read, func(identities []string, _ time.Time) { learnt = append(learnt, strings.Join(identities, " ")) })
	p := New(l, o, d)
	hurried := 0
	d.Attach(func() { hurried++ })
	settle := func() { d.Settle(t.Context()) }

	p.Ask("al", dawn)
	p.Ask("stranger", dawn)
	p.Began("al", dawn, false, true, policy.Broken{})
	expect(t, l, "refreshed al") // a sign of life, whatever it means
	settle()
	expect(t, l, "registered al")
	if hurried != 1 {
		t.Errorf("hurried %d times", hurried)
	}
	j.values["al"] = "60" // another process has seen it
	p.Ask("al", dawn)
	p.Lapsed("al", dawn)
	p.Lapsed("stranger", dawn)
	settle()
	expect(t, l)
	p.Ask("al", dawn.Add(time.Minute)) // over
	p.Lapsed("al", dawn.Add(time.Minute))
	settle()
	expect(t, l, "registered al", "deregistered al")

	// Where the Journal cannot be asked, what is known here has to do.
	j.err = errors.New("away")
	o.registered["al"] = true
	p.Ask("al", dawn)
	p.Ask("bo", dawn)
	p.Lapsed("al", dawn)
	settle()
	expect(t, l, "registered bo", "deregistered al")

	// Whose an identity is, is asked and means nothing else.
	j.err, j.values["tel:1"], j.values["odd"] = nil, "60 al tel:1", "x"
	d.AskWhose("tel:1", dawn)
	d.AskWhose("tel:2", dawn)
	d.AskWhose("odd", dawn)
	settle()
	d.Whose("tel:1")
	expect(t, l)
	if !slices.Equal(learnt, []string{"al tel:1", "al tel:1"}) {
		t.Errorf("learnt %q", learnt)
	}
}

// Beyond what may wait, a question is answered by what is known here.
func TestTooManyQuestions(t *testing.T) {
	l, j := &told{}, &shelf{values: map[string]string{}}
	d := Share(&own{}, j, read, func([]string, time.Time) {})
	p := New(l, &own{registered: map[string]bool{"al": true}}, d)
	for range maxQuestions {
		d.AskWhose("tel:1", dawn)
	}
	p.Ask("bo", dawn)
	p.Ask("al", dawn)
	d.AskWhose("tel:1", dawn)
	expect(t, l, "registered bo")
	d.Settle(t.Context())
	expect(t, l)
	if j.reads != maxQuestions {
		t.Errorf("%d look-ups", j.reads)
	}
}

// A user is registered if this process or another has seen it.
func TestUser(t *testing.T) {
	j := &shelf{values: map[string]string{"bo": "3600", "late": "-1", "odd": "x"}}
	d := Share(&own{registered: map[string]bool{"al": true}}, j, read, func([]string, time.Time) {})
	for aor, want := range map[string]bool{"al": true, "bo": true, "late": false, "odd": false, "nobody": false} {
		u := d.User(aor)
		if u.Registered != want || u.AOR != aor || u.LastHop != "sip:hop" || (u.SCSCF != "") != (aor == "bo") {
			t.Errorf("%s: %+v", aor, u)
		}
	}
}
