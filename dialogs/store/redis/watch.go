package redis

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// quiet is how long the connection may be silent before it is probed.
	quiet = 2 * time.Second
	// again is the longest pause before a new connection.
	again = 2 * time.Second
)

// Watch implements store.Store. It calls resync with every new connection, for what was
// published before is lost.
func (s *Store) Watch(ctx context.Context, changed func(aor string), resync func()) error {
	for pause := firstProbe; ; pause = min(2*pause, again) {
		sub := s.client.Subscribe(ctx, s.channel)
		stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // a read takes no notice of ctx
		heard := s.listen(ctx, sub, changed, resync)
		stop()
		_ = sub.Close()
		if heard {
			pause = firstProbe
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // Not a secret.
		}
	}
}

// listen listens until the connection breaks, and says whether there was one. A connection
// that does not answer a PING is broken.
func (s *Store) listen(ctx context.Context, sub *redis.PubSub, changed func(string), resync func()) (heard bool) {
	probed := false
	for {
		message, err := sub.ReceiveTimeout(ctx, quiet)
		var timeout net.Error
		switch {
		case err == nil:
			probed = false
		case errors.As(err, &timeout) && timeout.Timeout() && !probed && ctx.Err() == nil:
			if probed = sub.Ping(ctx) == nil; !probed {
				return heard
			}
			continue
		default:
			return heard
		}
		switch m := message.(type) {
		case *redis.Subscription:
			heard = true
			resync()
		case *redis.Message:
			if aor, ok := s.foreign(m.Payload); ok {
				changed(aor)
			}
		}
	}
}

// note is what is published of a change: which process made it, and the user.
func (s *Store) note(aor string) string { return s.origin + " " + aor }

// foreign gives the user of a note that another process published.
func (s *Store) foreign(note string) (aor string, ok bool) {
	origin, aor, ok := strings.Cut(note, " ")
	return aor, ok && origin != s.origin
}
