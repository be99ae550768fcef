package uac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// attempt is one request that is offered to its targets, one after the other, until one gives a
// final response. The next target is asked after a transport error or a 503 (RFC 3263 4.3).
//
// For a MESSAGE it is asked after silence, too, because the silence of an S-CSCF says nothing
// about the watcher: the time of the MESSAGE is shared among the targets. A target that has
// given a provisional response is waited for, and whoever was silent may answer until the end:
// it is one MESSAGE, with one Call-ID and CSeq, so a phone takes only the first that arrives
// (RFC 3261 8.2.2.2). Any other request that was sent may have been carried out.
type attempt struct {
	c       *Client
	ctx     context.Context
	method  sip.RequestMethod
	render  func(target) (rendered, error)
	targets []target

	asked  int // how many of the targets were
	open   int // how many of these have neither answered nor failed
	turn   <-chan time.Time
	coming int // the target whose provisional response has come, -1: none
	news   chan news
	asking sync.WaitGroup

	// best is what to return if no target gives an answer that is final by itself, and bestAt
	// the target that gave it. A response is better than an error, and silence than a
	// transport error (RFC 3261 8.1.3.1, 16.7 step 6).
	best   *sip.Response
	bestAt int
	err    error
}

// news is what a target has to say: a final response, an error, or neither, which is a
// provisional response.
type news struct {
	at  int
	res *sip.Response
	err error
}

// attempt offers a request to its targets. rest starts with the target that answered.
func (c *Client) attempt(ctx context.Context, method sip.RequestMethod, targets []target, render func(target) (rendered, error)) (res *sip.Response, rest []target, err error) {
	within, cancel := context.WithCancel(ctx)
	a := &attempt{c: c, ctx: within, method: method, render: render, targets: targets, coming: -1, news: make(chan news), err: errNoHop}
	defer a.asking.Wait()
	defer cancel()
	for {
		if a.open == 0 && !a.ask() {
			return a.outcome()
		}
		select {
		case n := <-a.news:
			if a.learn(n) {
				return a.outcome()
			}
		case <-a.turn:
			a.ask()
		case <-ctx.Done():
			a.fails(a.asked-1, fmt.Errorf("%w: %w", ErrTimeout, ctx.Err()))
			return a.outcome()
		}
	}
}

func (a *attempt) outcome() (*sip.Response, []target, error) {
	if a.best != nil {
		return a.best, a.targets[a.bestAt:], nil
	}
	return nil, nil, a.err
}

// ask sends the request to the next target; false: there is none.
func (a *attempt) ask() bool {
	a.turn = nil
	if a.asked == len(a.targets) {
		return false
	}
	at, hop := a.asked, a.targets[a.asked].hop
	w, err := a.render(a.targets[at])
	if err != nil {
		a.err = err
		return false
	}
	a.turn = a.share()
	a.asked++
	a.open++
	a.asking.Go(func() {
		res, err := a.c.transact(a.ctx, hop, w, func() { a.tell(news{at: at}) })
		a.tell(news{at, res, err})
	})
	return true
}

func (a *attempt) tell(n news) {
	select {
	case a.news <- n:
	case <-a.ctx.Done():
	}
}

// share is when the target after the next one has its turn: each has an equal share of the time
// that is left, but enough for most of the retransmissions.
func (a *attempt) share() <-chan time.Time {
	end, bounded := a.ctx.Deadline()
	left := len(a.targets) - a.asked
	if a.method != sip.MESSAGE || !bounded || left == 1 {
		return nil
	}
	return time.After(max(time.Until(end)/time.Duration(left), sip.Timer_F/2))
}

// learn takes the news of a target, and asks the next one where that is due; true: it is the
// end.
func (a *attempt) learn(n news) bool {
	if n.res == nil && n.err == nil {
		a.coming, a.turn = n.at, nil
		return false
	}
	a.open--
	switch {
	case n.err != nil:
		if !a.fails(n.at, n.err) {
			return true
		}
	case n.res.StatusCode == sip.StatusServiceUnavailable:
		a.best, a.bestAt = n.res, n.at
	case n.res.StatusCode == sip.StatusLoopDetected && a.open > 0:
		// The phone has got the MESSAGE by another way, by which its answer is to come.
		a.best, a.bestAt, a.targets = n.res, n.at, a.targets[:a.asked]
	default:
		a.best, a.bestAt = n.res, n.at
		return true
	}
	a.c.cfg.Log.Debug().Stringer("hop", a.targets[n.at].hop.Addr).Str("method", string(a.method)).AnErr("error", n.err).
		Msg("next hop refused")
	if a.coming == n.at {
		a.coming = -1
	}
	if a.coming < 0 && n.at == a.asked-1 {
		a.ask()
	}
	return false
}

// fails notes that a target has failed; false: the next one must not be asked.
func (a *attempt) fails(at int, err error) bool {
	t := a.targets[at]
	if errors.Is(err, ErrTimeout) {
		a.err = fmt.Errorf("%s to %s: %w", a.method, t.hop.Addr, err)
		return a.method == sip.MESSAGE && a.coming != at
	}
	if !errors.Is(a.err, ErrTimeout) {
		a.err = fmt.Errorf("send %s: %w", a.method, err)
	}
	if other, ok := t.hop.Otherwise(); ok {
		a.targets = append(slices.Clip(a.targets), target{hop: Hop{Hop: other, Side: t.hop.Side, Alone: t.hop.Alone}, route: t.route})
	}
	return true
}
