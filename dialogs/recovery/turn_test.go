package recovery_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/hold"
	"rewatch/dialogs/store"
	"rewatch/policy"
	"rewatch/policy/outage"
)

// A user who is not to be signed out any more takes no turn: where the cap lets one more
// begin, it is the next one who still is to be.
func TestWhoStaysTakesNoTurn(t *testing.T) {
	for name, stay := range map[string]func(r *rig, aor string){
		"back": func(r *rig, aor string) {
			r.Offer(aor, policy.Event{Kind: policy.Subscribed, At: time.Now(), Sub: broken("bob", "call-3")})
			r.Offer(aor, policy.Event{Kind: policy.NotifyOK, At: time.Now(), Sub: broken("bob", "call-3")})
		},
		"an emergency": func(r *rig, aor string) {
			r.change(func() { r.users[aor] = dialogs.User{AOR: aor, Registered: true, Emergency: true} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			cfg.Rules.Threshold, cfg.DeregisterCap = 1, 1
			inBubble(t, cfg, func(r *rig) {
				for i := range 3 {
					r.giveUpOn(fmt.Sprintf("sip:user-%d@ims.example", i))
				}
				stay(r, "sip:user-1@ims.example")
				r.at(time.Hour + 30*time.Second)
				for i, out := range []bool{true, false, true} {
					if s, _ := r.State(fmt.Sprintf("sip:user-%d@ims.example", i)); s.SignedOut != out {
						t.Errorf("user %d: %+v", i, s)
					}
				}
			})
		})
	}
}

// late is a store whose Save tells of a de-REGISTER that is about to be sent.
type late struct {
	*store.MemoryStore
	leaving func()
}

func (l *late) Save(ctx context.Context, r store.Record, with ...store.Entry) (uint64, error) {
	if r.State.Phase == policy.Exhausted && r.State.Transmitted {
		l.leaving()
	}
	return l.MemoryStore.Save(ctx, r, with...)
}

// A user who makes an emergency call while it is made safe that a de-REGISTER is about to
// be sent is not signed out.
func TestEmergencyAtTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Rules.Threshold = 1
		disk := &late{MemoryStore: store.NewMemoryStore()}
		r := newRig(t, cfg, disk)
		disk.leaving = func() {
			r.change(func() { r.users[alice] = dialogs.User{AOR: alice, Registered: true, Emergency: true} })
		}
		r.giveUpOn(alice)
		r.at(time.Minute)
		if n := r.lines("REGISTER"); n != 0 {
			t.Errorf("signed out %d times", n)
		}
		if s, _ := r.State(alice); s.Phase != policy.Exhausted || !s.StaysRegistered {
			t.Errorf("state %+v", s)
		}
		r.stop()
	})
}

// The server is told of a sign-out again only while the user is given up: a REGISTER that
// comes after the return would end the new registration.
func TestServerIsNotToldOfWhoIsBack(t *testing.T) {
	for _, back := range []bool{false, true} {
		cfg := config()
		cfg.Rules.Threshold = 1
		inBubble(t, cfg, func(r *rig) {
			r.change(func() {
				r.answer = func(request string) dialogs.Result {
					if strings.HasSuffix(request, "serv") {
						return dialogs.Result{Status: 500}
					}
					return dialogs.Result{Status: 200}
				}
				u := r.users[alice]
				u.AtServer = true
				r.users[alice] = u
			})
			r.offer(policy.NotifyFailed, "bob", "call-1")
			for r.lines("at server") == 0 {
				time.Sleep(10 * time.Millisecond)
			}
			if back {
				r.offer(policy.Registered, "", "")
				r.offer(policy.NotifyOK, "bob", "call-2")
			}
			time.Sleep(5 * time.Minute)
			if n, want := r.lines("at server"), map[bool]int{false: 3, true: 1}[back]; n != want {
				t.Errorf("back %v: the server was told %d times, want %d", back, n, want)
			}
		})
	}
}

// The path has to be proven when the turn of a de-REGISTER comes, not only when the user was
// given up. Until then the de-REGISTER is put off.
func TestSignOutWaitsForTheProof(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold, cfg.DeregisterRate = 1, 0.01
	cfg.Hold = hold.Config{}
	const first, other = "sip:first@ims.example", "sip:other@ims.example"
	hop := netip.MustParseAddrPort("192.0.2.1:5060")
	inBubble(t, cfg, func(r *rig) {
		r.change(func() { r.users[first] = dialogs.User{AOR: first, Registered: true} })
		passes := func(from, to time.Duration) {
			for d := from; d <= to; d += time.Second {
				r.at(d)
				var got outage.Passes
				got.Add(time.Now(), dialogs.UserID(other))
				r.Passed(time.Now(), hop, got)
			}
		}
		fails := func(aor string) {
			r.Failed(dialogs.Failure{
				AOR: aor, Hop: hop, Sent: time.Now(),
				Event: policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1")},
			})
		}
		passes(0, time.Second)
		fails(first)
		fails(alice)
		passes(2*time.Second, 100*time.Second)
		if n := r.lines("REGISTER"); n != 1 { // the other one's turn comes after 100 s
			t.Fatalf("%d de-REGISTERs", n)
		}
		r.at(120 * time.Second)
		fails(other)
		r.at(150 * time.Second)
		if n := r.lines("REGISTER"); n != 1 {
			t.Errorf("%d de-REGISTERs though nobody gets through", n)
		}
		passes(151*time.Second, 240*time.Second) // its next turn
		if n := r.lines("REGISTER"); n != 2 {
			t.Errorf("%d de-REGISTERs after others got through", n)
		}
	})
}
