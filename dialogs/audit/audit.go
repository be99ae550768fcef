// Package audit writes down who did what to whom, and why: one line of JSON for each
// sign-out, ban, reset, hold and change of mode. Users stand in it in clear text,
// whatever the log shows, so only the owner may read the file.
package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Rewatch is the Actor of what rewatch does by itself.
const Rewatch = "rewatch"

// The actions of rewatch. Package admin names those of an administrator.
const (
	SignOut = "sign-out"
	Ban     = "ban"
)

// Entry is one line.
type Entry struct {
	Time time.Time `json:"time"`
	// Actor is Rewatch, or an administrator and the address that it came from.
	Actor  string `json:"actor"`
	Action string `json:"action"`
	// User is an address of record; empty where nobody in particular is meant.
	User string `json:"user"`
	// Reason is why it was done, Proof what that rests on, Detail how and with what
	// outcome.
	Reason string `json:"reason"`
	Proof  string `json:"proof"`
	Detail string `json:"detail"`
}

// Log takes entries to the log and, if there is one, to a file. The zero value and nil
// take nothing.
type Log struct {
	path string
	log  zerolog.Logger

	mu sync.Mutex
}

// Open returns a Log. An empty path means that there is no file. One that cannot be
// written to is an error now rather than with the first entry.
func Open(path string, log zerolog.Logger) (*Log, error) {
	l := &Log{path: path, log: log.With().Bool("audit", true).Logger()}
	if path == "" {
		return l, nil
	}
	return l, l.write(nil)
}

// Record writes an entry. What is missing of its time is now.
func (l *Log) Record(e Entry) {
	if l == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	l.log.Info().Str("actor", e.Actor).Str("action", e.Action).Str("watcher", e.User).Str("reason", e.Reason).
		Str("proof", e.Proof).Str("detail", e.Detail).Msg("audit")
	if l.path == "" {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		err = l.write(append(line, '\n'))
	}
	if err != nil {
		l.log.Error().Err(err).Msg("the audit file cannot be written")
	}
}

// write adds a line in one piece. The file is opened for each: lines are rare, and so it
// may be moved away at any time.
func (l *Log) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) // #nosec G304 -- the operator's file
	if err != nil {
		return fmt.Errorf("%s: %w", l.path, withoutPath(err))
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm() != 0o600 {
		err = f.Chmod(0o600)
	}
	if err == nil && len(line) > 0 {
		_, err = f.Write(line)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", l.path, withoutPath(err))
	}
	return nil
}

func withoutPath(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
