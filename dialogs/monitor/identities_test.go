package monitor

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/dialogs/monitor/identities"
	"rewatch/dialogs/store"
)

func registered(uris ...string) *dialogs.Message {
	m := &dialogs.Message{
		At: time.Now(), CallID: []byte("r"), CSeq: 1, FromURI: []byte("sip:scscf.ims.test"), ToURI: []byte(alice),
		Contacts: []dialogs.Contact{{URI: []byte("sip:scscf.ims.test"), Expires: -1}}, Expires: 600,
	}
	for _, uri := range uris {
		m.Associated = append(m.Associated, []byte(uri))
	}
	return m
}

// Whichever of its identities a user asserts, it is the same user.
func TestIdentitiesOfOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard()
		w.Register(registered("tel:+49-30", alice, "sip:+4930@ims.test;user=phone"))
		for i, asserted := range []string{alice, "tel:+4930", "sip:+4930@ims.test", "sip:bob@ims.test"} {
			m := &dialogs.Message{
				At: time.Now(), CallID: fmt.Append(nil, i), CSeq: 1, FromURI: []byte("sip:anonymous@invalid"), FromTag: []byte("w"),
				ToURI: []byte("sip:carol@ims.test"), Event: dialogs.Event{Package: []byte("presence")}, Expires: 600,
				Identities: [][]byte{[]byte(asserted)},
			}
			w.Subscribe(m)
			m.Status, m.ToTag = 200, []byte("n")
			w.SubscribeDone(m)
		}
		if v, _ := w.Watcher(alice); len(v.List) != 3 || !v.Registered {
			t.Errorf("%+v", v)
		}
		// By another of its identities it is signed out as a whole.
		m := registered("tel:+49-30", alice, "sip:+4930@ims.test")
		m.ToURI, m.Expires = []byte("tel:+4930"), 0
		w.Register(m)
		if v, _ := w.Watcher(alice); v.Registered || w.last.Kind.String() != "deregistered" {
			t.Errorf("%+v, %v", v, w.offered)
		}
		for i := range identities.Shards { // long after
			w.identities.Forget(i, time.Now().Add(2*time.Hour))
		}
		if got := w.knownUser([]byte("tel:+4930")); got != "tel:+4930" {
			t.Errorf("it is %s still", got)
		}
	})
}

// The identities outlive a process.
func TestIdentitiesAreRestored(t *testing.T) {
	w := newWard()
	w.Register(registered(alice, "tel:+4930"))
	us, hash := w.userShard(alice)
	r := us.users.At(us.find(hash, alice)).registration
	next := New(NewTable(Config{}, nil), newRecorder(), zerolog.Nop(), nil)
	if !next.Source().Restore(store.Entry{Kind: store.KindRegistration, Key: alice, Value: appendRegistration(nil, &r)}, time.Now()) {
		t.Fatal("not restored")
	}
	if got := next.knownUser([]byte("tel:+4930")); got != alice {
		t.Errorf("it is %s", got)
	}
}

// A user that registers again before the response to the de-REGISTER stays registered.
func TestSignedOutIfNotRegisteredSince(t *testing.T) {
	m, _ := newTestMonitor(Config{})
	register := func(cseq uint32) {
		m.Register(&dialogs.Message{
			At: time.Now(), CallID: []byte("r"), CSeq: cseq, FromURI: []byte("sip:scscf.test"), ToURI: []byte(alice),
			Contacts: dialogstest.Contacts("<sip:scscf.test>"), Expires: 3600,
		})
	}
	register(1)
	before := m.User(alice)
	register(2)
	if m.SignedOut(before) || !m.User(alice).Registered {
		t.Error("the newer registration has ended")
	}
	if !m.SignedOut(m.User(alice)) || m.User(alice).Registered {
		t.Error("the registration goes on")
	}
}
