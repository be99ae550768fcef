package uac

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"rewatch/dialogs"
)

// A MESSAGE that was seen to come back says so, whatever the core makes of our 482.
func TestMessageReturns(t *testing.T) {
	for _, answer := range []string{"482 Loop Detected", "200 OK", ""} {
		for _, returns := range []bool{true, false} {
			t.Run(fmt.Sprint(answer, returns), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var p *peer
					p = newPeer(t, func(_ int, s sent) []string {
						const tag = "000102030405"
						if p.client.Returned([]byte("another")) {
							t.Error("the tag of another is taken for ours")
						}
						if returns && !p.client.Returned([]byte(tag)) {
							t.Error("our own is not known")
						}
						if answer == "" {
							return nil
						}
						return []string{respond(s, answer)}
					})
					r := p.client.Message(context.Background(), alice)
					if errors.Is(r.Err, dialogs.ErrReturned) != returns || r.OK() != (!returns && answer == "200 OK") {
						t.Errorf("result %+v", r)
					}
					p.done()
					if len(p.client.messages) != 0 || p.client.Returned([]byte("000102030405")) {
						t.Error("it is remembered when it is over")
					}
				})
			})
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
