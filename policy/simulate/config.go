package simulate

import (
	"errors"
	"fmt"
	"time"

	"rewatch/policy"
	"rewatch/policy/outage"
)

// Config is one run: the world, what goes wrong in it, and the rules.
type Config struct {
	Seed     uint64
	Duration time.Duration
	Watchers int
	// Replicas are the rewatch processes, each in front of its own server with
	// an equal share of the watchers; 0 is one for each million.
	Replicas int
	// Hops are the next hops; each watcher is behind one.
	Hops int

	Clients Clients
	Trouble Trouble

	Rules policy.Rules
	// SignalNotify tells the watchers by a terminating NOTIFY as well.
	SignalNotify  bool
	Outage        outage.Limits
	NotifyTimeout time.Duration
	// MessageRate and DeregisterRate are the most per second of one replica, 0 is
	// no limit; DeregisterCap is the most per hour, 0 is none.
	MessageRate, DeregisterRate float64
	DeregisterCap               int
	// NewPost makes what keeps NOTIFYs for each replica; nil: nothing is kept.
	NewPost func() Post
}

// Clients say how watchers behave.
type Clients struct {
	// Subscriptions is the mean of each watcher's; most have few, some many.
	Subscriptions float64
	NotifyEvery   time.Duration // mean pause between two NOTIFYs of a subscription
	Refresh       time.Duration // of a subscription
	Registration  time.Duration // after which a signed-out phone notices
	Resubscribe   time.Duration // longest pause between MESSAGE and SUBSCRIBE
	// Ignore is the share of clients that take no notice of the MESSAGE, and come back
	// with their own refresh (or upon a terminating NOTIFY, where it is sent). Lost is the
	// share of those that do not come back upon a terminating NOTIFY either, but lose
	// the subscription for good.
	Ignore, Lost float64
	// Twins is the share of users with two devices, each with a part of the
	// subscriptions.
	Twins float64
}

// Trouble says what goes wrong. All of it begins at Start.
type Trouble struct {
	Start time.Duration
	// Loss is the share of messages that are lost on their way, all the time.
	Loss float64
	// Moves is the share of phones that lose their network for MoveFor, each at a time
	// of its own within an hour, and register and subscribe anew behind another hop.
	Moves   float64
	MoveFor time.Duration
	// Dead is the share of phones that are switched off for DeadFor, each at a
	// time of its own within an hour.
	Dead    float64
	DeadFor time.Duration
	// Outage is how long all hops are silent.
	Outage time.Duration
	// HopDown is how long the first hop is silent.
	HopDown time.Duration
	// FlapFor is how long the first hop flaps: silent for FlapDown, then well for
	// FlapUp, and so on.
	FlapFor, FlapDown, FlapUp time.Duration
	// Reregister is how long it takes until every phone has registered and
	// subscribed anew, under a loss of ReregisterLoss.
	Reregister     time.Duration
	ReregisterLoss float64
}

// perReplica is how many watchers one process has if nobody says otherwise.
const perReplica = 1_000_000

func (c Config) withDefaults() Config {
	if c.Replicas <= 0 {
		c.Replicas = (c.Watchers + perReplica - 1) / perReplica
	}
	return c
}

// Validate says what makes no sense, all of it at once.
func (c Config) Validate() error {
	var wrong []error
	positive := func(name string, ok bool) {
		if !ok {
			wrong = append(wrong, fmt.Errorf("%s has to be greater than 0", name))
		}
	}
	share := func(name string, v float64) {
		if v < 0 || v > 1 {
			wrong = append(wrong, fmt.Errorf("%s is a share from 0 to 1", name))
		}
	}
	positive("watchers", c.Watchers > 0)
	positive("hops", c.Hops > 0)
	positive("duration", c.Duration >= step)
	positive("subscriptions", c.Clients.Subscriptions > 0)
	positive("notify-every", c.Clients.NotifyEvery > 0)
	positive("refresh", c.Clients.Refresh > 0)
	positive("registration", c.Clients.Registration > 0)
	positive("flap-down and flap-up", c.Trouble.FlapFor == 0 || c.Trouble.FlapDown > 0 && c.Trouble.FlapUp > 0)
	share("loss", c.Trouble.Loss)
	share("dead", c.Trouble.Dead)
	share("ignore and lost", c.Clients.Ignore)
	share("ignore and lost", c.Clients.Ignore+c.Clients.Lost)
	share("twins", c.Clients.Twins)
	share("moves", c.Trouble.Moves)
	share("reregister-loss", c.Trouble.ReregisterLoss)
	if c.Watchers > mostWatchers {
		wrong = append(wrong, fmt.Errorf("watchers are at most %d", mostWatchers))
	}
	if c.Duration > mostTime {
		wrong = append(wrong, fmt.Errorf("duration is at most %s", mostTime))
	}
	return errors.Join(wrong...)
}

const (
	mostWatchers = 1 << 30
	mostTime     = 7 * 24 * time.Hour
)
