package identities

import (
	"slices"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/policy"
)

// engine notes whom it is told of and asked about.
type engine struct {
	dialogs.Recovery
	users []string
}

func (e *engine) note(aor string) bool                { e.users = append(e.users, aor); return true }
func (e *engine) Offer(aor string, _ policy.Event)    { e.note(aor) }
func (e *engine) Failed(f dialogs.Failure)            { e.note(f.AOR) }
func (e *engine) Interested(aor string) bool          { return e.note(aor) }
func (e *engine) Known(aor string) bool               { return e.note(aor) }
func (e *engine) Banned(aor string, _ time.Time) bool { return e.note(aor) }
func (e *engine) Trace(aor string, _ dialogs.Step)    { e.note(aor) }

// Whatever is told or asked by another identity concerns the user; of others nothing changes.
func TestRecoveryOfTheUser(t *testing.T) {
	const user, tel = "sip:al@ims.example", "tel:+4930"
	set := New(func(int) bool { return true }, func(int) {})
	e := &engine{}
	r := Recovery{e, set}
	ask := func(aor string) []string {
		e.users = nil
		r.Offer(aor, policy.Event{})
		r.Failed(dialogs.Failure{AOR: aor})
		r.Trace(aor, dialogs.Step{})
		if !r.Interested(aor) || !r.Known(aor) || !r.Banned(aor, time.Now()) {
			t.Error("the answer is another")
		}
		return e.users
	}
	for range 2 {
		want := set.Named(tel)
		for _, got := range ask(tel) {
			if got != want {
				t.Errorf("told of %s, want %s", got, want)
			}
		}
		if got := slices.Compact(ask("sip:bo@ims.example")); !slices.Equal(got, []string{"sip:bo@ims.example"}) {
			t.Errorf("told of %v", got)
		}
		set.Add([]string{user, tel}, time.Now().Add(time.Hour))
	}
	if got := set.Named(tel); got != user || set.Named(user) != user || set.UserOf([]byte(tel)) != user || set.UserOf([]byte(user)) != "" {
		t.Errorf("the number is of %s", got)
	}
}
