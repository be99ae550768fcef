package simulate

import (
	"strconv"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/redelivery"
	"rewatch/policy/simulate"
)

// notifySize is the size of a NOTIFY with PIDF, in bytes.
const notifySize = 1000

// body is the text of all NOTIFYs, because only its length counts.
var body = make([]byte, notifySize)

// post makes the Keeper of package redelivery a simulate.Post.
type post struct {
	keeper  *redelivery.Keeper
	cseq    uint32
	flights map[uint32]redelivery.Attempt
}

func newPost(c redelivery.Config) func() simulate.Post {
	return func() simulate.Post {
		return &post{keeper: redelivery.New(c), flights: map[uint32]redelivery.Attempt{}}
	}
}

func userOf(who uint32) string { return strconv.FormatUint(uint64(who), 36) }

// dialogOf gives the number of the dialog of a NOTIFY; notifyOf is its inverse.
func dialogOf(n simulate.Notify) uint64 {
	return uint64(n.Who)<<24 | uint64(n.Device)<<16 | uint64(n.Sub)<<8 | uint64(n.Gen)
}

func notifyOf(dialog uint64) simulate.Notify {
	return simulate.Notify{Who: uint32(dialog >> 24), Device: uint8(dialog >> 16), Sub: uint8(dialog >> 8), Gen: uint8(dialog)} //nolint:gosec // see dialogOf
}

func (p *post) Keep(now time.Time, n simulate.Notify) bool {
	p.cseq++
	ok, _ := p.keeper.Keep(now, redelivery.Notify{
		User: userOf(n.Who), Device: strconv.Itoa(int(n.Device)), Dialog: dialogOf(n), CSeq: p.cseq, Full: true, Unanswered: true,
		Parcel: dialogs.Parcel{Raw: body},
	})
	return ok
}

func (p *post) Next(now time.Time) (simulate.Attempt, bool) {
	p.keeper.Calls() // what is called back here does not arrive, nor is anything hurried
	a, _, ok := p.keeper.Next(now)
	if !ok {
		return simulate.Attempt{}, false
	}
	id := uint32(a.ID) //nolint:gosec // fewer than that at a time
	p.flights[id] = a
	return simulate.Attempt{Notify: notifyOf(a.Dialog), ID: id, Prompt: a.Prompt}, true
}

func (p *post) Postpone(id uint32, until time.Time) {
	a := p.flights[id]
	delete(p.flights, id)
	p.keeper.Postpone(&a, until)
}

func (p *post) Done(now time.Time, id uint32, answered bool) []simulate.Notify {
	a := p.flights[id]
	delete(p.flights, id)
	outcome := redelivery.Silence
	if answered {
		outcome = redelivery.Accepted
	}
	return ended(p.keeper.Done(now, &a, outcome), redelivery.Delivered)
}

func (p *post) Alive(now time.Time, who uint32) { p.keeper.Alive(now, userOf(who), "") }

func (p *post) Drop(n simulate.Notify) { p.keeper.Drop(dialogOf(n), redelivery.Dropped) }

func (p *post) Expire(now time.Time) []simulate.Notify {
	return ended(p.keeper.Expire(now), redelivery.GivenBack)
}

func (p *post) Len() int { return p.keeper.Len() }

// ended gives the NOTIFYs of the dialogs whose keeping ended with result r.
func ended(ends []redelivery.End, r redelivery.Result) (all []simulate.Notify) {
	for _, e := range ends {
		if e.Last && e.Result == r {
			all = append(all, notifyOf(e.Dialog))
		}
	}
	return all
}
