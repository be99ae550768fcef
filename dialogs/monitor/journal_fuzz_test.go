package monitor

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs/monitor/identities"
	"rewatch/dialogs/store"
)

// Whatever a Journal gives back, it is read to what is written the same way, or it
// is an error; and a Monitor that takes it up stays whole.
func FuzzJournalEntry(f *testing.F) {
	s := subscription{phase: dead, birth: 7, expires: 1 << 60, until: 1<<60 + 5, asked: -1, notifyCSeq: 4, acceptedCSeq: 3, accepted: 9, signedOut: hasSignedOut, proven: true}
	var t textBuilder
	for _, text := range []string{"call", "w", "n", "presence;id=7", "sip:alice@ims.example", "sip:bob@ims.example", "sip:alice@192.0.2.7", "urn:uuid:1", "Phone/1"} {
		t.addString(text)
	}
	s.text, s.ends = t.String(), t.ends
	f.Add(appendSubscription(nil, &s, hop{known: true, port: 5060}), s.key())
	f.Add(appendSubscription(nil, &s, hop{}), "")
	f.Add(appendRegistration(nil, &registration{until: 1 << 60, scscf: "sip:scscf"}), "sip:alice@ims.example")
	f.Add(appendRegistration(nil, &registration{until: 1 << 60, identities: "sip:alice@ims.example tel:+4930"}), "sip:alice@ims.example")
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, value []byte, key string) {
		m := New(NewTable(Config{}, nil), newRecorder(), zerolog.Nop(), nil)
		if s, h, err := readSubscription(value); err == nil {
			again := appendSubscription(nil, &s, h)
			if s2, h2, err := readSubscription(again); err != nil || s2 != s || h2 != h {
				t.Fatalf("%+v %+v became %+v %+v, %v", s, h, s2, h2, err)
			}
			for range 2 {
				(&source{Table: m.Table}).restoreSubscription(store.Entry{Key: s.key(), Value: value}, false, time.Time{})
			}
		}
		if r, err := readRegistration(value); err == nil {
			if r2, err := readRegistration(appendRegistration(nil, &r)); err != nil || r2 != r {
				t.Fatalf("%+v became %+v, %v", r, r2, err)
			}
		}
		if (&source{Table: m.Table}).restoreRegistration(store.Entry{Key: key, Value: bytes.Clone(value)}, time.Time{}) {
			m.SignedOut(m.User(key))
		}
		for i := range m.subs {
			sh := &m.subs[i]
			for slot := uint32(1); slot <= sh.subs.Slots(); slot++ {
				if sh.subs.At(slot).used() {
					m.remove(sh, slot)
				}
			}
		}
		for i := range identities.Shards {
			m.identities.Forget(i, time.Unix(0, math.MaxInt64))
		}
		_, _ = m.Source().Collect(math.MaxInt) // what is gone waits for the Journal
		if m.records.Load() != 0 || m.live.Load() != 0 || m.registered.Load() != 0 || m.texts.Load() != 0 {
			t.Fatalf("%d records, %d live, %d registered, %d bytes of text are left",
				m.records.Load(), m.live.Load(), m.registered.Load(), m.texts.Load())
		}
	})
}
