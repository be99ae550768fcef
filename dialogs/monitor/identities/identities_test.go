package identities

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rewatch/dialogs"
)

const alice = "sip:alice@ims.test"

func naming(uris ...string) *dialogs.Message {
	m := &dialogs.Message{ToURI: []byte(alice)}
	for _, uri := range uris {
		m.Associated = append(m.Associated, []byte(uri))
	}
	return m
}

func TestAssociated(t *testing.T) {
	for _, c := range []struct {
		uris, want []string
	}{
		{nil, nil},
		{[]string{alice}, nil},
		{[]string{alice, "tel:+1"}, []string{alice, "tel:+1"}},
		{[]string{"tel:+1", alice}, []string{alice, "tel:+1"}},
		{[]string{"sip:default@ims.test", alice}, []string{"sip:default@ims.test", alice}},
		{[]string{"sip:bob@ims.test", "tel:+1"}, nil}, // not this user's
		{[]string{alice, "nothing", "sip:ALICE2@IMS.test"}, []string{alice, "sip:ALICE2@ims.test"}},
	} {
		if got := associated(naming(c.uris...), alice); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.uris, got, c.want)
		}
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("sip:u%d@ims.test", i))
	}
	if got := associated(naming(append([]string{alice}, many...)...), alice); len(got) != most {
		t.Errorf("%d identities", len(got))
	}
}

// What there is no room for is not learnt, and the room of what is forgotten is given back.
func TestRoom(t *testing.T) {
	const all = 100 + 4*each
	room := all
	s := New(func(bytes int) bool {
		if room < bytes {
			return false
		}
		room -= bytes
		return true
	}, func(bytes int) { room += bytes })
	now := time.Now()
	s.Learn(naming(alice, "tel:+1", "tel:+2", "tel:+3", "tel:+4", "tel:+5"), now, 60)
	if s.UserOf([]byte("tel:+1")) != alice || s.UserOf([]byte("tel:+5")) != "" || room != 4 {
		t.Errorf("%q, %q, room for %d bytes", s.UserOf([]byte("tel:+1")), s.UserOf([]byte("tel:+5")), room)
	}
	for i := range Shards {
		s.Forget(i, now.Add(linger))
	}
	if s.UserOf([]byte("tel:+1")) != alice {
		t.Error("forgotten too soon")
	}
	for i := range Shards {
		s.Forget(i, now.Add(linger+time.Minute))
	}
	if s.UserOf([]byte("tel:+1")) != "" || room != all {
		t.Errorf("%q, room for %d bytes", s.UserOf([]byte("tel:+1")), room)
	}
}
