package config

import (
	"strings"
	"time"

	"rewatch/dialogs/store/redis"
)

// The forms of REWATCH_STATE, besides the URLs of Redis.
const (
	StateMemory = "memory:"
	StateFile   = "file:"

	wantState = "memory:, file:PATH, or one of " + redis.Forms
)

// Shared says whether other replicas keep their state in the same place.
func (c StateConfig) Shared() bool {
	return c.Store != StateMemory && !strings.HasPrefix(c.Store, StateFile)
}

func checkState(in *inspection, c *Config) {
	const name = "REWATCH_STATE"
	path, isFile := strings.CutPrefix(c.State.Store, StateFile)
	switch {
	case c.State.Store == StateMemory:
	case isFile && path == "":
		in.reject(name, "a path after file:, such as file:/var/lib/rewatch/state.db")
	case isFile:
	default:
		if _, err := redis.ParseURL(c.State.Store); err != nil {
			in.reject(name, wantState+" ("+WithoutSecrets(err.Error())+")")
		}
	}
	if c.State.Sync < 0 || c.State.Sync > time.Minute {
		in.reject("REWATCH_STATE_SYNC", "a duration such as 100ms, at most 1m; 0s waits for every commit")
	}
}
