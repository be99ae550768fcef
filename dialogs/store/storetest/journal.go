package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"rewatch/dialogs/store"
)

// RunJournal tests a journal. open returns a new, empty journal, and closes it with t.Cleanup.
func RunJournal(t *testing.T, open func(t *testing.T) store.Journal) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Journal)
	}{
		{"nothing is kept at first", blank},
		{"what was written is read", written},
		{"the last word holds", lastWord},
		{"the kinds are apart", apart},
		{"what is over is not read", lapsed},
		{"any bytes may be kept", bytesKept},
		{"a large batch is kept whole", large},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// later is a time in an hour, in whole milliseconds, for a store may round.
func later() time.Time { return time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC() }

func write(t *testing.T, j store.Journal, batch ...store.Entry) {
	t.Helper()
	if err := j.Write(t.Context(), batch); err != nil {
		t.Fatalf("write %d entries: %v", len(batch), err)
	}
}

func entries(t *testing.T, j store.Journal, kind store.Kind) map[string]store.Entry {
	t.Helper()
	all := make(map[string]store.Entry)
	for e, err := range j.Entries(t.Context(), kind) {
		if err != nil {
			t.Fatalf("walk over every %s: %v", kind, err)
		}
		if e.Kind != kind {
			t.Errorf("among every %s there is %+v", kind, e)
		}
		all[e.Key] = e
	}
	return all
}

// expect checks what Read and Entries say of one key; no value: it is not there.
func expect(t *testing.T, j store.Journal, kind store.Kind, key, value string) {
	t.Helper()
	e, ok, err := j.Read(t.Context(), kind, key)
	if err != nil || ok != (value != "") || string(e.Value) != value {
		t.Errorf("read %s %q: %q, %v, %v; want %q", kind, key, e.Value, ok, err, value)
	}
	walked, there := entries(t, j, kind)[key]
	if there != (value != "") || string(walked.Value) != value {
		t.Errorf("walked over %s %q: %q, %v; want %q", kind, key, walked.Value, there, value)
	}
}

func blank(t *testing.T, j store.Journal) {
	for _, kind := range store.Kinds() {
		expect(t, j, kind, alice, "")
	}
	write(t, j)
	write(t, j, store.Entry{Kind: store.KindRegistration, Key: alice}) // to remove what is not there
	expect(t, j, store.KindRegistration, alice, "")
}

func written(t *testing.T, j store.Journal) {
	until := later()
	value := []byte("registered")
	write(t, j, store.Entry{Kind: store.KindRegistration, Key: alice, Value: value, Until: until})
	value[0] = 'X' // the journal must have copied it
	expect(t, j, store.KindRegistration, alice, "registered")
	e, _, _ := j.Read(t.Context(), store.KindRegistration, alice)
	if d := e.Until.Sub(until); d < -time.Second || d > time.Second {
		t.Errorf("until %s, want %s", e.Until, until)
	}
}

func lastWord(t *testing.T, j store.Journal) {
	one := func(value string) store.Entry {
		return store.Entry{Kind: store.KindSubscription, Key: "call-1", Value: []byte(value), Until: later()}
	}
	write(t, j, one("first"), one("second"))
	expect(t, j, store.KindSubscription, "call-1", "second")
	write(t, j, one(""), one("third"))
	expect(t, j, store.KindSubscription, "call-1", "third")
	write(t, j, one("fourth"), one(""))
	expect(t, j, store.KindSubscription, "call-1", "")
}

func apart(t *testing.T, j store.Journal) {
	for _, kind := range store.Kinds() {
		write(t, j, store.Entry{Kind: kind, Key: alice, Value: []byte(kind.String()), Until: later()})
	}
	write(t, j, store.Entry{Kind: store.KindAlarm, Key: alice})
	expect(t, j, store.KindSubscription, alice, "subscription")
	expect(t, j, store.KindRegistration, alice, "registration")
	expect(t, j, store.KindAlarm, alice, "")
}

func lapsed(t *testing.T, j store.Journal) {
	write(t, j,
		store.Entry{Kind: store.KindRegistration, Key: alice, Value: []byte("gone"), Until: time.Now().Add(-time.Second)},
		store.Entry{Kind: store.KindAlarm, Key: alice, Value: []byte("stays")},
	)
	expect(t, j, store.KindRegistration, alice, "")
	expect(t, j, store.KindAlarm, alice, "stays")
}

func bytesKept(t *testing.T, j store.Journal) {
	var every []byte
	for c := range 256 {
		every = append(every, byte(c))
	}
	for _, key := range []string{string(every), "a\x00b", "*?[x]\\", "{a}{b}", ":", "sip:[2001:db8::1]"} {
		write(t, j, store.Entry{Kind: store.KindSubscription, Key: key, Value: every, Until: later()})
		expect(t, j, store.KindSubscription, key, string(every))
	}
}

func large(t *testing.T, j store.Journal) {
	const n = 1200
	var batch []store.Entry
	for i := range n {
		batch = append(batch, store.Entry{
			Kind: store.KindSubscription, Key: fmt.Sprintf("call-%d", i),
			Value: bytes.Repeat([]byte{byte(i)}, 200), Until: later(),
		})
	}
	write(t, j, batch...)
	if got := len(entries(t, j, store.KindSubscription)); got != n {
		t.Errorf("%d entries of %d are there", got, n)
	}
	for i := range batch {
		batch[i].Value = nil
	}
	write(t, j, batch[:n-1]...)
	if got := len(entries(t, j, store.KindSubscription)); got != 1 {
		t.Errorf("%d entries are there, want 1", got)
	}
}
