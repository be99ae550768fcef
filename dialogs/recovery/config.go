package recovery

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs"
	"rewatch/dialogs/agent"
	"rewatch/dialogs/recovery/hold"
	"rewatch/policy"
)

// Config is what the operator chose for the recovery. Zero values of what
// they cannot choose get sensible ones.
type Config struct {
	Rules policy.Rules
	// Signal is how a watcher is told: by MESSAGE, by terminating NOTIFYs, or both;
	// Agents are the exceptions.
	Signal agent.Signal
	Agents agent.Rules
	// MessageRate and DeregisterRate are the most per second; 0 is no limit.
	MessageRate, DeregisterRate float64
	// Domains are those whose users are de-registered though their registration
	// was not seen.
	Domains []string
	// DeregisterAll removes all of a user's contacts rather than the one that
	// failed.
	DeregisterAll bool
	// ByHook: a system of the operator's signs users out, not a REGISTER. It does not say
	// which devices stay. HookTakesAll: it is not told a Contact, and so ends them all.
	ByHook, HookTakesAll bool
	// DryRun decides, counts and logs, but sends and raises nothing.
	DryRun *dialogs.DryRun
	// DeregisterCap is the most in any hour; 0 is no limit.
	DeregisterCap int
	// Hold says what an outage is, and how its end is found out.
	Hold hold.Config
	// HoldDown is how long a user is spared who was given up again soon after they
	// was signed out; it doubles each time.
	HoldDown time.Duration
	// MaxQueue bounds the requests of a kind that wait for their turn.
	MaxQueue int
	// Concurrency bounds the requests of a kind that await their outcome.
	Concurrency int
	// MaxUsers bounds the users whose state is remembered, MaxBytes the memory of
	// their states and of what an outage broke; 0 is no bound.
	MaxUsers int
	MaxBytes int64
	// NeverSignOut says who is never signed out nor refused, whatever Rules say; nil:
	// nobody. It must not block.
	NeverSignOut func(aor string) bool
	// Audit is told of each sign-out and ban; nil: nobody is.
	Audit Auditor
	// Forgotten counts what was not remembered, by the label what; nil: not counted.
	Forgotten *prometheus.CounterVec
}

const (
	defaultConcurrency = 4096
	defaultMaxQueue    = 100_000
	defaultHoldDown    = 5 * time.Minute
)

func (c Config) withDefaults() Config {
	c.MaxUsers = orElse(c.MaxUsers, math.MaxInt32)
	if c.MaxBytes <= 0 {
		c.MaxBytes = math.MaxInt64
	}
	c.Concurrency = orElse(c.Concurrency, defaultConcurrency)
	c.MaxQueue = orElse(c.MaxQueue, defaultMaxQueue)
	c.HoldDown = orElse(c.HoldDown, defaultHoldDown)
	return c
}

// rulesFor are the Rules as they are for one user.
func (c *Config) rulesFor(aor string) policy.Rules {
	rules := c.Rules
	if rules.OnThreshold != policy.Unsubscribe && c.sacred(aor) {
		rules.OnThreshold = policy.Unsubscribe
	}
	return rules
}

// means is what signs users out.
func (c *Config) means() string {
	if c.ByHook {
		return "the hook"
	}
	return "REGISTER"
}

// sacred says whether a user is never signed out.
func (c *Config) sacred(aor string) bool { return c.NeverSignOut != nil && c.NeverSignOut(aor) }

// orElse returns v, or otherwise where v was not given.
func orElse[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}
