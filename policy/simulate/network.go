package simulate

import (
	"math"
	"time"

	"rewatch/policy"
)

// network knows when which hop is silent, and what of a transaction gets through.
type network struct {
	t     Trouble
	tries []moment // when a request is sent, by Timer E (RFC 3261 17.1.2.2)
}

func newNetwork(t Trouble) *network {
	n := &network{t: t}
	pause := policy.T1
	for at := time.Duration(0); at < policy.TimerF; {
		n.tries = append(n.tries, steps(at))
		at += pause
		pause = min(2*pause, 8*policy.T1)
	}
	return n
}

// up says whether a hop passes messages on.
func (n *network) up(hop int, at moment) bool {
	since := time.Duration(at)*step - n.t.Start
	switch {
	case since < 0:
		return true
	case since < n.t.Outage:
		return false
	case hop != 0:
		return true
	case since < n.t.HopDown:
		return false
	case since < n.t.FlapFor:
		return since%(n.t.FlapDown+n.t.FlapUp) >= n.t.FlapDown
	default:
		return true
	}
}

// lossy is the share of messages that are lost at a time.
func (n *network) lossy(at moment) float64 {
	since := time.Duration(at)*step - n.t.Start
	if since >= 0 && since < n.t.Reregister {
		return max(n.t.Loss, n.t.ReregisterLoss)
	}
	return n.t.Loss
}

// route is the way to one phone.
type route struct {
	hop        int
	off, onset moment // the phone is switched off from off until onset
}

// delivery says when a request that is sent now, and again and again, gets its
// response, if it does before its deadline. A try fails if it or its response is
// lost.
func (n *network) delivery(d dice, r route, now moment, deadline time.Duration) (moment, bool) {
	p := n.lossy(now)
	for _, after := range n.tries {
		if after >= steps(deadline) {
			break
		}
		at := now + after
		if !n.up(r.hop, at) || at >= r.off && at < r.onset {
			continue
		}
		if p == 0 || d.Float64() < (1-p)*(1-p) {
			return at, true
		}
	}
	return 0, false
}

// firstUp is when a request to a hop that is silent now first passes.
func (n *network) firstUp(hop int, now moment, deadline time.Duration) (moment, bool) {
	for _, after := range n.tries {
		if after < steps(deadline) && n.up(hop, now+after) {
			return now + after, true
		}
	}
	return 0, false
}

// allLost is the chance that every try of a request is lost.
func (n *network) allLost(now moment, deadline time.Duration) float64 {
	p := n.lossy(now)
	if p == 0 {
		return 0
	}
	tries := 0
	for _, after := range n.tries {
		if after < steps(deadline) {
			tries++
		}
	}
	return math.Pow(1-(1-p)*(1-p), float64(tries))
}
