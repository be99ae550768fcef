package simulate

import "time"

// Scenario is a preset of what goes wrong.
type Scenario struct {
	Name, Summary string
	set           func(*Config)
}

// Apply puts the scenario into a Config.
func (s Scenario) Apply(c *Config) {
	if s.set != nil {
		s.set(c)
	}
}

// Scenarios lists the presets, in the order of the table.
func Scenarios() []Scenario {
	return []Scenario{
		{"outage", "the whole core is silent for 60 s", func(c *Config) {
			c.Trouble.Outage = time.Minute
		}},
		{"blackout", "the whole core is silent for 10 min", func(c *Config) {
			c.Trouble.Outage = 10 * time.Minute
		}},
		{"deadphones", "1 % of the phones is switched off, each for 30 min", func(c *Config) {
			c.Trouble.Dead, c.Trouble.DeadFor = 0.01, 30*time.Minute
		}},
		{"loss", "a quarter of all messages is lost, all the time", func(c *Config) {
			c.Trouble.Loss = 0.25
		}},
		{"dyinghop", "one of the hops is silent for 10 min", func(c *Config) {
			c.Trouble.HopDown = 10 * time.Minute
		}},
		{"flapping", "one hop is silent for 45 s, well for 15 s, and so on for 20 min", func(c *Config) {
			c.Trouble.FlapFor, c.Trouble.FlapDown, c.Trouble.FlapUp = 20*time.Minute, 45*time.Second, 15*time.Second
		}},
		{"reregister", "all phones register and subscribe anew within 5 min; 30 % of the messages is lost", func(c *Config) {
			c.Trouble.Reregister, c.Trouble.ReregisterLoss = 5*time.Minute, 0.3
		}},
		{"moving", "a tenth of the phones loses its network for a minute and comes back behind another hop", func(c *Config) {
			c.Trouble.Moves, c.Trouble.MoveFor = 0.1, time.Minute
		}},
		{"standard", "the 60 s outage, and no client knows the MESSAGE", func(c *Config) {
			c.Trouble.Outage = time.Minute
			c.Clients.Ignore = 1 - c.Clients.Lost
		}},
		{"nohold", "the blackout without the outage hold, for comparison; not part of all", func(c *Config) {
			c.Trouble.Outage = 10 * time.Minute
			c.Outage.Off = true
		}},
	}
}

// World is the network without trouble, the defaults of the flags.
func World() Config {
	return Config{
		Seed: 1, Duration: 2 * time.Hour, Watchers: 10_000_000, Hops: 8,
		Clients: Clients{
			Subscriptions: 3,
			NotifyEvery:   30 * time.Minute,
			Refresh:       time.Hour,
			Registration:  time.Hour,
			Resubscribe:   2 * time.Second,
			Ignore:        0.5,
			Lost:          0.2,
			Twins:         0.3,
		},
		Trouble: Trouble{Start: 2 * time.Minute},
	}
}
