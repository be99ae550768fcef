package policy

import (
	"fmt"
	"slices"
)

// The words below are read by people, in the log and in the API, and are the values of
// REWATCH_COUNT, REWATCH_ON_THRESHOLD and REWATCH_PATIENCE.
var (
	phases       = []string{"idle", "gathering", "notifying", "waiting", "proving", "exhausted"}
	progresses   = []string{"lost", "resubscribed", "proven"}
	countModes   = []string{"registration", "recovery"}
	onThresholds = []string{"deregister", "ban", "unsubscribe"}
	patiences    = []string{"refresh", "none"}
	eventKinds   = []string{
		"notify-failed", "notify-ok", "late-ok", "subscribed", "ended", "message-done",
		"registered", "deregistered", "deregister-done", "deregister-failed", "deregister-skipped",
		"tick", "reset", "unban", "excuse", "turn", "resumed", "refreshed",
	}
	actionKinds = []string{
		"send-message", "deregister", "start-ban", "end-ban", "raise-alarm", "clear-alarm",
		"recovered", "gave-up", "abandoned", "transmit", "returned",
	}
	bys = []string{"unknown", "message", "notify", "refresh", "redelivery", "registration", "itself"}
)

func (p Phase) String() string       { return word(phases, p) }
func (p Progress) String() string    { return word(progresses, p) }
func (c CountMode) String() string   { return word(countModes, c) }
func (o OnThreshold) String() string { return word(onThresholds, o) }
func (p Patience) String() string    { return word(patiences, p) }
func (b By) String() string          { return word(bys, b) }
func (k EventKind) String() string   { return word(eventKinds, k) }
func (k ActionKind) String() string  { return word(actionKinds, k) }

// MarshalText writes the phase as its word.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the word of a phase.
func (p *Phase) UnmarshalText(text []byte) error { return read(p, phases, "phase", text) }

// MarshalText writes the progress as its word.
func (p Progress) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the word of a progress.
func (p *Progress) UnmarshalText(text []byte) error { return read(p, progresses, "progress", text) }

// MarshalText writes what brought a client back as its word.
func (b By) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads the word of what brought a client back.
func (b *By) UnmarshalText(text []byte) error { return read(b, bys, "return", text) }

// word returns the word for v, or its number should it have none.
func word[T ~uint8](words []string, v T) string {
	if int(v) < len(words) {
		return words[v]
	}
	return fmt.Sprintf("unknown(%d)", uint8(v))
}

// read finds text among the words and sets v to its place there.
func read[T ~uint8](v *T, words []string, what string, text []byte) error {
	i := slices.Index(words, string(text))
	if i < 0 {
		return fmt.Errorf("%s %q: want one of %q", what, text, words)
	}
	*v = T(i) //nolint:gosec // the lists are short
	return nil
}
