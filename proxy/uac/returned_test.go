package uac

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"rewatch/dialogs"
)

// A MESSAGE that was seen to come back says so, whatever the core makes of our 482; unless a
// client has it after all, which may be who has sent it back.
func TestMessageReturns(t *testing.T) {
	for _, answer := range []string{"482 Loop Detected", "200 OK", ""} {
		for _, returns := range []bool{true, false} {
			t.Run(fmt.Sprint(answer, returns), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var p *peer
					p = newPeer(t, func(_ int, s sent) []string {
						const tag = "000102030405"
						if _, ours := p.client.Returned([]byte("another"), nil); ours {
							t.Error("the tag of another is taken for ours")
						}
						if returns {
							if user, ours := p.client.Returned([]byte(tag), nil); !ours || user != alice.AOR {
								t.Errorf("our own is not known: %q", user)
							}
						}
						if answer == "" {
							return nil
						}
						return []string{respond(s, answer)}
					})
					r := p.client.Message(context.Background(), alice)
					told := answer == "200 OK"
					if errors.Is(r.Err, dialogs.ErrReturned) != (returns && !told) || r.OK() != told {
						t.Errorf("result %+v", r)
					}
					p.done()
					if _, ours := p.client.Returned([]byte("000102030405"), nil); ours || len(p.client.messages) != 0 {
						t.Error("it is remembered when it is over")
					}
				})
			})
		}
	}
}

// A branch that somebody has invented is none of ours, however much it looks like one.
func TestInventedBranch(t *testing.T) {
	a, b := New(Config{}), New(Config{})
	own := a.ids.branch()
	if _, ours := a.Returned(nil, []byte(own)); !ours {
		t.Errorf("%s is not known", own)
	}
	for _, branch := range []string{"", BranchPrefix, BranchPrefix + "000102030405060708090a0b", own + "0", own[:len(own)-1], own[:len(own)-1] + "g", b.ids.branch()} {
		if _, ours := a.Returned(nil, []byte(branch)); ours {
			t.Errorf("%s is taken for ours", branch)
		}
	}
}

// That there was no room is told through all the layers.
func TestMessageFindsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, never)
		p.client.cfg.Sender = crowdedSender{p}
		if r := p.client.Message(context.Background(), alice); !errors.Is(r.Err, dialogs.ErrCrowded) {
			t.Errorf("result %+v", r)
		}
		p.done()
	})
}

type crowdedSender struct{ *peer }

func (crowdedSender) Send(Hop, []byte) error { return fmt.Errorf("%w: backlog", dialogs.ErrCrowded) }
