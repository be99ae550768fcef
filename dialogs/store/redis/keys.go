package redis

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy"
)

const (
	// tombstone is how long the version of a deleted state is remembered.
	tombstone = 10 * time.Minute
	// slack is how much longer a state is kept than it means anything, so that
	// a replica whose clock is behind still finds it.
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

// inBraces gives what userKey and entryKey have put in braces.
func inBraces(key, prefix string) (string, bool) {
	name, ok := strings.CutPrefix(key, prefix+"{")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, "}")
}

// glob escapes what a pattern of SCAN would take for a sign.
func glob(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(prefix) + "{*"
}

// lifetime is how long a state has to be kept: as long as it waits for anything.
func lifetime(s policy.State, now time.Time) time.Duration {
	last := now
	for _, t := range []time.Time{s.Deadline, s.ForgetAt, s.BannedUntil} {
		if t.After(last) {
			last = t
		}
	}
	return last.Sub(now) + slack
}

// An entry is its end in Unix nanoseconds, 0 for none, and its value.
func encodeEntry(e store.Entry) []byte {
	until := int64(0)
	if !e.Until.IsZero() {
		until = e.Until.UnixNano()
	}
	value := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(e.Value)), uint64(until)) // #nosec G115 -- and back
	return append(value, e.Value...)
}

var errEntry = errors.New("not an entry of rewatch")

func decodeEntry(kind store.Kind, key, value string) (store.Entry, error) {
	if len(value) < 8 {
		return store.Entry{}, errEntry
	}
	e := store.Entry{Kind: kind, Key: key, Value: []byte(value[8:])}
	if until := int64(binary.BigEndian.Uint64([]byte(value[:8]))); until != 0 { // #nosec G115 -- as encodeEntry wrote it
		e.Until = time.Unix(0, until)
	}
	return e, nil
}
