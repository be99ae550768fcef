package monitor

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
)

// refreshed is a SUBSCRIBE in the dialog of c, and what the server answers.
func (w *parcelWard) refreshed(c call, cseq uint32, status int) {
	m := &dialogs.Message{
		At: time.Now(), CallID: []byte(c.id), CSeq: cseq, FromURI: []byte(alice), FromTag: []byte("w" + c.id), Expires: 600,
		ToURI: []byte(c.resource), ToTag: []byte(c.tag), RequestURI: []byte(c.resource), Event: dialogstest.Event(c.event),
		Contacts: dialogstest.Contacts("<" + c.contact + ">"),
	}
	w.Subscribe(m)
	m.Status = status
	w.SubscribeDone(m)
}

// signs is a third-party REGISTER, by which all devices of alice are alive.
func (w *parcelWard) signs() {
	w.Register(&dialogs.Message{
		At: time.Now(), CallID: []byte("r"), CSeq: 1, FromURI: []byte("sip:scscf.test"), ToURI: []byte(alice),
		Contacts: dialogstest.Contacts("<sip:other@scscf.test:5099>"), Expires: 3600,
	})
}

// TestKeptOfManyPackages: one sign of life delivers what is kept for each subscription of a
// device, by the rules of its content, with gaps between the CSeqs.
func TestKeptOfManyPackages(t *testing.T) {
	packages := []struct{ event, kind, first, second, want string }{
		{"presence", pidf, "p1", "p2", "p2"},
		{"presence.winfo", "application/watcherinfo+xml", "<w state='full'/>", "<w state='partial'/>", "<w state='full'/> <w state='partial'/>"},
		{"dialog", "application/dialog-info+xml", "<d state='partial'/>", "<d state='full'/>", "<d state='full'/>"},
		{"reg", "application/reginfo+xml", "<r state='partial'/>", "<r state='partial' x='2'/>", "<r state='partial'/> <r state='partial' x='2'/>"},
		{"conference", "application/conference-info+xml", "<c state='partial'/>", "<c/>", "<c/>"},
		{"xcap-diff", "application/xcap-diff+xml", "x1", "x2", "x1 x2"},
		{"message-summary", "application/simple-message-summary", "m1", "m2", "m2"},
		{"unknown", "application/x", "u1", "u2", "u1 u2"},
	}
	redelivering(t, redeliverConfig, func(w *parcelWard) {
		var want []string
		calls := make([]call, len(packages))
		for i, p := range packages { // before any NOTIFY: a SUBSCRIBE is a sign of life
			calls[i] = call{phoneA, fmt.Sprint("a", i), "s1", p.event, callA.resource}
			w.subscribe(calls[i], 1, 3600, 200)
		}
		for i, p := range packages {
			c := calls[i]
			for n, body := range []string{p.first, p.second} {
				if got := w.state(c, uint32(n)*7+3, p.kind, body, 480); got != 200 { //nolint:gosec // small
					t.Errorf("%s: %d", p.event, got)
				}
			}
			want = append(want, p.want)
		}
		w.signs()
		if got := w.deliveries(); got != strings.Join(want, " ") || w.Waits() || len(w.failed()) > 0 {
			t.Errorf("sent %q, want %q; failed %q", got, want, w.failed())
		}
	})
}

// TestKeptAndRetransmitted: what is kept, or was delivered, is answered again and not kept twice.
func TestKeptAndRetransmitted(t *testing.T) {
	for kind, want := range map[string]string{partial: "1 2", pidf: "2"} {
		redelivering(t, redeliverConfig, func(w *parcelWard) {
			w.subscribe(callA, 1, 3600, 200)
			for _, cseq := range []uint32{1, 2, 2, 1, 2} {
				if got := w.state(callA, cseq, kind, fmt.Sprint(cseq), 480); got != 200 {
					t.Errorf("%d gets %d", cseq, got)
				}
			}
			w.signs()
			if got := w.deliveries(); got != want || w.Waits() || len(w.failed()) > 0 {
				t.Errorf("sent %q, want %q; failed %q", got, want, w.failed())
			}
		})
	}
}

// TestKeptAndRefreshRefused: a server that answers 481 to the refresh knows of no subscription:
// nothing is kept for it. After another answer it goes on.
func TestKeptAndRefreshRefused(t *testing.T) {
	for status, kept := range map[int]bool{481: false, 404: false, 489: false, 423: true, 500: true, 503: true} {
		redelivering(t, redeliverConfig, func(w *parcelWard) {
			w.subscribe(callA, 1, 3600, 200)
			w.answer(480)
			w.state(callA, 1, partial, "1", 480)
			w.refreshed(callA, 2, status)
			synctest.Wait()
			if w.Waits() != kept || len(w.failed()) > 0 {
				t.Errorf("%d: kept %t, failed %q", status, w.Waits(), w.failed())
			}
		})
	}
}
