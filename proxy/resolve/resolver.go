package resolve

import (
	"context"
	"time"
)

// Config is what a Resolver needs; zero values have sensible meanings.
type Config struct {
	// Exchange asks the questions; nil means [NewSystem].
	Exchange Exchanger
	// MaxEntries bounds the cache, MaxFills the names being asked for at once.
	MaxEntries, MaxFills int
	// Timeout bounds the whole search for one target.
	Timeout time.Duration
	// IntN is the random choice among SRV records of equal priority; nil means
	// math/rand/v2.
	IntN func(n int) int
}

// Resolver finds next hops and remembers them.
type Resolver struct{}

// New returns a Resolver; Shutdown ends it.
func New(cfg Config) *Resolver { return &Resolver{} }

// Resolve waits for the hops of a target; the duration says how long they hold.
func (r *Resolver) Resolve(ctx context.Context, t Target) ([]Hop, time.Duration, error) {
	return nil, 0, nil
}

// Lookup returns the hops that are known, without waiting. If none are it starts
// to find them, and reports false; Await tells when they are there. The slice is
// shared and must not be changed.
func (r *Resolver) Lookup(t Target) ([]Hop, bool) { return nil, false }

// Await calls done once, with the hops or with why there are none: at once if it
// is known, later from a goroutine of the Resolver if not. done must not block.
func (r *Resolver) Await(t Target, done func([]Hop, error)) {}

// Shutdown ends all searches and waits for their goroutines.
func (r *Resolver) Shutdown(ctx context.Context) error { return nil }
