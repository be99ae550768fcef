package monitor

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
)

// posing are the REGISTERs that a phone can write in the name of another. What only the core can say
// to be one of its own (From is not To) comes Unasserted.
var posing = map[string]struct {
	from, contacts string
	expires        int
}{
	"leaves":               {alice, "<sip:m@10.9.0.66>", 0},
	"leaves with all":      {alice, "*", 0},
	"leaves by a Contact":  {alice, "<sip:m@10.9.0.66>;expires=0", 600},
	"for a second":         {alice, "<sip:m@10.9.0.66>", 1},
	"moves":                {alice, "<sip:m@10.9.0.66>", 600},
	"an emergency":         {alice, "<sip:m@10.9.0.66;sos>", 600},
	"an S-CSCF: leaves":    {"sip:scscf.ims.test", "<sip:10.9.0.66>", 0},
	"an S-CSCF: all":       {"sip:scscf.ims.test", "*", 0},
	"an S-CSCF: a second":  {"sip:scscf.ims.test", "<sip:10.9.0.66>", 1},
	"an S-CSCF: moves":     {"sip:scscf.ims.test", "<sip:10.9.0.66>", 600},
	"another user: leaves": {"sip:mallory@ims.test", "<sip:10.9.0.66>", 0},
}

// Whatever a phone writes in a REGISTER in the name of another, without the 2xx of the registrar it
// ends, shortens and moves nothing, and nobody's registration begins.
func TestPosingREGISTERs(t *testing.T) {
	for name, p := range posing {
		for _, registered := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, registered %t", name, registered), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWard()
					if registered {
						m := &dialogs.Message{
							At: time.Now(), CallID: []byte("third"), CSeq: 1, FromURI: []byte("sip:scscf.ims.test"), ToURI: []byte(alice),
							Contacts: dialogstest.Contacts("<sip:scscf.ims.test;lr>"), Expires: 3600,
						}
						w.Register(m)
						m.Status = 200
						w.RegisterDone(m)
					}
					c := call{phoneA, "c", "s", "presence", "sip:bob@ims.test"}
					w.subscribe(c, 1, 3600, 200)
					w.notify(c, 1, answered(200))
					before := w.User(alice)
					w.offered = nil
					m := &dialogs.Message{
						At: time.Now(), CallID: []byte("posing"), CSeq: 1, FromURI: []byte(p.from), ToURI: []byte(alice), Unasserted: p.from != alice,
						Contacts: dialogstest.Contacts(p.contacts), Expires: p.expires, Associated: [][]byte{[]byte("sip:mallory@ims.test"), []byte(alice)},
					}
					w.Register(m)
					m.Status = 401
					if registered { // at an S-CSCF, so the server is no registrar, whatever it answers
						m.Status, m.Contacts, m.Expires = 200, nil, -1
					}
					w.RegisterDone(m)
					time.Sleep(2 * time.Second)
					expiry{w.Monitor}.sweep(time.Now())
					after := w.User(alice)
					if after.Emergency = before.Emergency; after.Registered != before.Registered || after.SCSCF != before.SCSCF || registered && !after.Until.Equal(before.Until) {
						t.Errorf("before: %+v\nafter: %+v", before, after)
					}
					if w.offered = slices.DeleteFunc(w.offered, func(what string) bool { return what == "refreshed" }); len(w.offered) > 0 {
						t.Errorf("offered: %q", w.offered)
					}
					if w.identities.Named("sip:mallory@ims.test") != "sip:mallory@ims.test" || w.identities.Named(alice) != alice {
						t.Error("they are one user now")
					}
					if w.notify(c, 2, answered(480)); len(w.failed()) != 1 {
						t.Error("the failure is none")
					}
				})
			})
		}
	}
}

// A user's own REGISTER counts once the registrar has taken it: its registration begins, and it ends,
// also one that rewatch has not seen the beginning of.
func TestOwnREGISTERsCountUponTheir2xx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const a = "<sip:alice@10.9.0.1>"
		w := newWard()
		cseq := uint32(0)
		register := func(expires, status int, contacts string) []string {
			cseq++
			w.offered = nil
			m := &dialogs.Message{
				At: time.Now(), CallID: []byte("own"), CSeq: cseq, FromURI: []byte(alice), ToURI: []byte(alice), Contacts: dialogstest.Contacts(a), Expires: expires,
			}
			w.Register(m)
			m.Status, m.Contacts, m.Expires = status, dialogstest.Contacts(contacts), -1
			w.RegisterDone(m)
			return w.offered
		}
		subscribed := func(id string) call {
			c := call{phoneA, id, "s" + id, "presence", "sip:bob@ims.test"}
			w.subscribe(c, 1, 3600, 200)
			w.notify(c, 1, answered(200))
			return c
		}
		c := subscribed("1")
		if got := register(0, 200, ""); !slices.Contains(got, "deregistered") {
			t.Errorf("unseen, leaves: %q", got)
		}
		if w.notify(c, 2, answered(480)); len(w.failed()) != 0 {
			t.Error("the failure of one who has left counts")
		}
		if got := register(600, 401, ""); slices.Contains(got, "registered") || w.User(alice).Registered {
			t.Errorf("refused: %q", got)
		}
		if got := register(600, 200, a+";expires=600"); !slices.Contains(got, "registered") || !w.User(alice).Registered {
			t.Errorf("taken: %q", got)
		}
		if got := register(600, 200, a+";expires=600"); slices.Contains(got, "registered") {
			t.Errorf("refreshed: %q", got)
		}
		if got := register(0, 403, ""); slices.Contains(got, "deregistered") || !w.User(alice).Registered {
			t.Errorf("may not leave: %q", got)
		}
		if got := register(0, 200, ""); !slices.Contains(got, "deregistered") || w.User(alice).Registered {
			t.Errorf("leaves: %q", got)
		}
	})
}
