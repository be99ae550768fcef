package redis

import (
	"strings"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy"
)

const (
	// tombstone is how long the version of a deleted state is remembered, and who has taken
	// an entry.
	tombstone = 10 * time.Minute
	// slack is how much longer a state is kept than its last deadline, so that a replica
	// whose clock is behind still finds it.
	slack = 48 * time.Hour
	// noEnd is how long an entry without an end of its own is kept.
	noEnd = 30 * 24 * time.Hour
)

func (s *Store) userKey(aor string) string { return s.users + "{" + aor + "}" }

func (s *Store) entryKey(kind store.Kind, key string) string {
	return s.kindPrefix(kind) + "{" + key + "}"
}

// kindPrefix begins the keys of a kind, and of this instance unless the kind is shared.
func (s *Store) kindPrefix(kind store.Kind) string {
	p := s.prefix + ":" + kind.String() + ":"
	if !kind.Shared() {
		p += s.instance + ":"
	}
	return p
}

// inBraces gives the name that userKey or entryKey has put in braces.
func inBraces(key, prefix string) (string, bool) {
	name, ok := strings.CutPrefix(key, prefix+"{")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, "}")
}

// glob is the pattern of SCAN for the keys with a prefix.
func glob(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(prefix) + "{*"
}

// lifetime is how long a state has to be kept: until its last deadline, and slack.
func lifetime(s policy.State, now time.Time) time.Duration {
	last := now
	for _, t := range []time.Time{s.Deadline, s.ForgetAt, s.BannedUntil} {
		if t.After(last) {
			last = t
		}
	}
	return last.Sub(now) + slack
}
