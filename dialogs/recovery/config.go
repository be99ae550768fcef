package recovery

import (
	"cmp"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs"
	"rewatch/dialogs/agent"
	"rewatch/dialogs/recovery/hold"
	"rewatch/policy"
)

// Config is what the operator chose for the recovery. What the operator cannot choose has a
// default, which its zero value stands for.
type Config struct {
	Rules policy.Rules
	// Signal is how a watcher is told: by MESSAGE, by terminating NOTIFYs, or both;
	// Agents are the exceptions.
	Signal agent.Signal
	Agents agent.Rules
	// MessageRate and DeregisterRate bound the requests per second; 0 is no limit.
	MessageRate, DeregisterRate float64
	// Domains are those whose users are de-registered though their registration
	// was not seen.
	Domains []string
	// DeregisterAll removes all of a user's contacts rather than the one that
	// failed.
	DeregisterAll bool
	// ByHook: a system of the operator signs users out, instead of a REGISTER. Its answer does
	// not say which devices stay. HookTakesAll: the system is not told a Contact, so it signs
	// out all devices of the user.
	ByHook, HookTakesAll bool
	// DryRun decides, counts and logs, but sends and raises nothing.
	DryRun *dialogs.DryRun
	// DeregisterCap bounds the de-REGISTERs in any hour; 0 is no limit.
	DeregisterCap int
	// Hold says what an outage is, and how its end is found out.
	Hold hold.Config
	// HoldDown is how long a user is not signed out who is given up again soon after a
	// sign-out (5m); it doubles each time.
	HoldDown time.Duration
	// MaxQueue bounds the requests of a kind that wait for their turn (100,000).
	MaxQueue int
	// Concurrency bounds the requests of a kind that await their outcome (4096).
	Concurrency int
	// MaxUsers bounds the users whose state is remembered, MaxBytes the memory of
	// their states and of what an outage broke; 0 is no bound.
	MaxUsers int
	MaxBytes int64
	// NeverSignOut says which users are never signed out nor banned, whatever Rules say; nil:
	// none. It must not block.
	NeverSignOut func(aor string) bool
	// Audit is told of each sign-out and ban; nil: nobody is.
	Audit Auditor
	// Forgotten counts what was not remembered, by its label; nil: nothing is counted.
	Forgotten *prometheus.CounterVec
}

func (c Config) withDefaults() Config {
	c.MaxUsers = cmp.Or(c.MaxUsers, math.MaxInt32)
	c.MaxBytes = cmp.Or(c.MaxBytes, math.MaxInt64)
	c.Concurrency = cmp.Or(c.Concurrency, 4096)
	c.MaxQueue = cmp.Or(c.MaxQueue, 100_000)
	c.HoldDown = cmp.Or(c.HoldDown, 5*time.Minute)
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
