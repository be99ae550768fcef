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

// TestNeverBegan: a NOTIFY in a dialog whose first SUBSCRIBE the server has refused is nobody's
// failure, whatever becomes of it and whatever tag it has, also where the first NOTIFYs came before
// the refusal. A SUBSCRIBE that is sent again with
// the same Call-ID and accepted makes a subscription like any other.
func TestNeverBegan(t *testing.T) {
	outcomes := map[string]dialogs.Outcome{
		"timeout": {Kind: dialogs.TimedOut, RetryAfter: -1}, "unreachable": {Kind: dialogs.Unreachable, RetryAfter: -1},
		"404": answered(404), "481": answered(481), "503": answered(503),
	}
	for _, status := range []int{302, 401, 403, 404, 480, 489, 500, 503, 603} {
		for _, tag := range []string{"s1", "fork"} {
			for name, o := range outcomes {
				for _, again := range []bool{false, true} {
					t.Run(fmt.Sprint(status, "/", tag, "/", name, "/again=", again), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							w := newWard()
							refused := call{phoneA, "c", "s1", "presence", "sip:bob@ims.test"}
							other := call{phoneA, "other", "s1", "presence", "sip:carol@ims.test"}
							w.subscribe(other, 1, 600, 200)
							w.subscribe(refused, 1, 600, status)
							var want []string
							if again {
								w.subscribe(refused, 2, 600, 200)
								want = append(want, "c")
							}
							time.Sleep(time.Second)
							refused.tag = tag
							w.notify(refused, 1, o)
							w.notify(other, 1, o)
							want = append(want, "other")
							if got := w.failed(); !slices.Equal(got, want) {
								t.Errorf("failed are %q, want %q", got, want)
							}
						})
					})
				}
			}
		}
	}
}

// TestRefusedAfterANotify: what the NOTIFY of a SUBSCRIBE that is refused after it has made, in one dialog
// or in two of a fork, is no subscription (RFC 6665 4.1.2.1): its NOTIFYs are judged no more, and what is kept is dropped.
// What was accepted or refreshed stays one, and so does that of a merged SUBSCRIBE.
func TestRefusedAfterANotify(t *testing.T) {
	refused := call{phoneA, "c", "s1", "presence", "sip:bob@ims.test"}
	fork := refused
	fork.tag = "s2"
	for name, c := range map[string]struct {
		status       int
		tag          string
		first, later int // status of the answers to the NOTIFY before the refusal, and after it
		accepted     bool
		refreshed    bool
		stays        bool
	}{
		"refused":                      {status: 403, tag: "s1", first: 200, later: 480},
		"refused, another tag":         {status: 503, tag: "x", first: 200, later: 481},
		"refused, no tag":              {status: 500, first: 200, later: 503},
		"kept before":                  {status: 403, tag: "s1", first: 480, later: 480},
		"merged":                       {status: 482, tag: "s1", first: 200, later: 404, stays: true},
		"accepted before":              {status: 403, tag: "s1", first: 200, later: 404, accepted: true, stays: true},
		"a refresh, the 2xx was lost":  {status: 503, tag: "s1", first: 200, later: 404, refreshed: true, stays: true},
		"a refresh that is refused":    {status: 404, tag: "s1", first: 200, later: 404, refreshed: true},
		"merged, the first was seen":   {status: 482, tag: "x", first: 200, later: 404, accepted: true, stays: true},
		"refused, what was kept, late": {status: 603, tag: "s2", first: 408, later: 408},
	} {
		t.Run(name, func(t *testing.T) {
			redelivering(t, redeliverConfig, func(w *parcelWard) {
				w.status = 480
				w.asks(refused, 1)
				if c.accepted {
					w.accepts(refused, 1, 200)
				}
				for _, d := range []call{refused, fork} {
					w.state(d, 1, pidf, "first", c.first)
				}
				cseq := uint32(1)
				if c.refreshed {
					cseq++
					w.refreshed(refused, cseq, 100)
				}
				answered := refused
				answered.tag = c.tag
				w.accepts(answered, cseq, c.status)
				if w.Waits() {
					t.Error("something is kept")
				}
				w.state(refused, 2, pidf, "later", c.later)
				if got := len(w.failed()) > 0; got != c.stays || !c.stays && w.Waits() {
					t.Errorf("failed: %v, want %v; kept: %v", got, c.stays, w.Waits())
				}
			})
		})
	}
}

// asks is an initial SUBSCRIBE, without its response; accepts is its response.
func (w *ward) asks(c call, cseq uint32) {
	m := c.initial(cseq)
	w.Subscribe(&m)
}

func (w *ward) accepts(c call, cseq uint32, status int) {
	m := c.initial(cseq)
	m.ToTag, m.Status = []byte(c.tag), status
	w.SubscribeDone(&m)
}

func (c call) initial(cseq uint32) dialogs.Message {
	return dialogs.Message{
		At: time.Now(), Source: wardHop, CallID: []byte(c.id), CSeq: cseq, FromURI: []byte(alice), FromTag: []byte("w" + c.id),
		ToURI: []byte(c.resource), RequestURI: []byte(c.resource), Event: dialogstest.Event(c.event),
		Contacts: dialogstest.Contacts("<" + c.contact + ">"), Expires: 600,
	}
}
