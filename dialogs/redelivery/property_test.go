package redelivery

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"rewatch/dialogs"
)

// world plays the server, the phones and the time against a Keeper.
type world struct {
	*rapid.T

	k   *Keeper
	cfg Config
	now time.Time
	// cseq is the last of each dialog, kept what has not ended.
	cseq map[uint64]uint32
	kept map[uint64]map[uint32]bool
	// seen is the highest CSeq that the phone has accepted in a dialog.
	seen map[uint64]uint32
	// flight has the attempts whose outcome was not told, by device.
	flight map[string]Attempt
}

func deviceOf(dialog uint64) string { return string(rune('a' + dialog/2)) }

// TestInvariants: in any order of failures, signs of life, NOTIFYs and time each NOTIFY
// ends once, a phone sees CSeqs rise, no device has two attempts, and the bounds hold.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			T: t, now: time.Unix(1e9, 0), cfg: Config{For: 5 * time.Minute, MaxBytes: rapid.IntRange(2000, 40_000).Draw(t, "room")},
			cseq: map[uint64]uint32{}, kept: map[uint64]map[uint32]bool{}, seen: map[uint64]uint32{}, flight: map[string]Attempt{},
		}
		w.k = New(w.cfg)
		for range rapid.IntRange(1, 120).Draw(t, "events") {
			w.happen()
			w.check()
		}
		w.now = w.now.Add(w.cfg.For)
		w.ends(w.k.Expire(w.now))
		w.check()
		if w.k.Len() != 0 || w.k.Bytes() != 0 {
			t.Fatalf("%d kept, %d bytes after the end", w.k.Len(), w.k.Bytes())
		}
		if _, at, ok := w.k.Next(w.now.Add(time.Hour)); ok || !at.IsZero() {
			t.Fatal("an attempt for nothing")
		}
	})
}

func (w *world) happen() {
	dialog := uint64(rapid.IntRange(0, 5).Draw(w.T, "dialog")) //nolint:gosec // small
	switch rapid.IntRange(0, 7).Draw(w.T, "event") {
	case 0, 1:
		w.keep(dialog)
	case 2:
		w.k.Alive(w.now, "alice", rapid.SampledFrom([]string{"", deviceOf(dialog)}).Draw(w.T, "device"))
	case 3:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(w.T, "ms")) * time.Millisecond)
		w.ends(w.k.Expire(w.now))
	case 4:
		w.next()
	case 5:
		if a, ok := w.flight[deviceOf(dialog)]; ok {
			delete(w.flight, a.Device)
			w.done(a)
		}
	case 6:
		cseq := uint32(rapid.IntRange(0, int(w.cseq[dialog])).Draw(w.T, "had")) //nolint:gosec // small
		w.seen[dialog] = max(w.seen[dialog], cseq)
		w.ends(w.k.Had(w.now, dialog, cseq))
	default:
		if rapid.IntRange(0, 4).Draw(w.T, "drops") == 0 {
			w.ends(w.k.Drop(dialog, Dropped))
			if w.k.Holds(dialog) {
				w.Fatal("held after it was dropped")
			}
		}
	}
}

func (w *world) keep(dialog uint64) {
	w.cseq[dialog]++
	n := Notify{
		User: "alice", Device: deviceOf(dialog), Dialog: dialog, CSeq: w.cseq[dialog], Full: rapid.Bool().Draw(w.T, "full"),
		Bare: rapid.Bool().Draw(w.T, "bare"), Unanswered: rapid.Bool().Draw(w.T, "unanswered"),
		Parcel: dialogs.Parcel{Raw: make([]byte, rapid.IntRange(0, 900).Draw(w.T, "length"))},
	}
	ok, ends := w.k.Keep(w.now, n)
	if ok {
		if w.kept[dialog] == nil {
			w.kept[dialog] = map[uint32]bool{}
		}
		w.kept[dialog][n.CSeq] = true
	}
	w.ends(ends)
	if ok && !w.k.Holds(dialog) {
		w.Fatal("not held")
	}
}

func (w *world) next() {
	a, at, ok := w.k.Next(w.now)
	switch {
	case !ok:
		if !at.IsZero() && !at.After(w.now) {
			w.Fatal("due and not given")
		}
		return
	case !w.kept[a.Dialog][a.CSeq] && a.CSeq != w.seen[a.Dialog]: // the phone took a copy after that
		w.Fatal("an attempt of what is not kept")
	case a.CSeq < w.seen[a.Dialog]:
		w.Fatal("an older CSeq after a newer one")
	}
	for cseq := range w.kept[a.Dialog] {
		if cseq < a.CSeq {
			w.Fatal("overtakes", cseq)
		}
	}
	w.flight[a.Device] = a // an earlier one was given up upon a sign of life
}

func (w *world) done(a Attempt) {
	o := Outcome(rapid.IntRange(0, 4).Draw(w.T, "outcome")) //nolint:gosec // five of them
	if o == Accepted {
		w.seen[a.Dialog] = max(w.seen[a.Dialog], a.CSeq)
	}
	w.ends(w.k.Done(w.now, &a, o))
	if o == Final && w.kept[a.Dialog][a.CSeq] {
		if _, ok := w.flight[a.Device]; !ok && w.k.under(&a) != nil {
			w.Fatal("kept after a final answer")
		}
	}
}

func (w *world) ends(ends []End) {
	for _, e := range ends {
		if !w.kept[e.Dialog][e.CSeq] && (e.Result != GivenBack || e.CSeq != w.seen[e.Dialog]) {
			w.Fatalf("%+v ended twice, or was never kept", e)
		}
		delete(w.kept[e.Dialog], e.CSeq)
		if e.Last != (len(w.kept[e.Dialog]) == 0) {
			w.Fatalf("%+v: %d are left", e, len(w.kept[e.Dialog]))
		}
	}
}

func (w *world) check() {
	n := 0
	for dialog, of := range w.kept {
		n += len(of)
		if len(of) > maxPerDialog || w.k.Keeps(dialog) != (len(of) > 0) || len(of) > 0 && !w.k.Holds(dialog) {
			w.Fatal(dialog, "has", len(of))
		}
	}
	if n != w.k.Len() {
		w.Fatalf("%d kept, says the Keeper; %d", w.k.Len(), n)
	}
	if w.k.Bytes() > w.cfg.MaxBytes {
		w.Fatal("above its bound:", w.k.Bytes())
	}
	if waiting, since := w.k.Waiting("alice"); waiting != n || (n > 0) == since.IsZero() {
		w.Fatal("waiting:", waiting, since)
	}
}
