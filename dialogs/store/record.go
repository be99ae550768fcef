package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rewatch/policy"
)

// AppendEntry appends the end of an entry (Unix nanoseconds, 0 for none) and its value.
func AppendEntry(b []byte, e Entry) []byte {
	until := int64(0)
	if !e.Until.IsZero() {
		until = e.Until.UnixNano()
	}
	return append(binary.BigEndian.AppendUint64(b, uint64(until)), e.Value...) // #nosec G115 -- and back
}

// ReadEntry reads what AppendEntry wrote; false for anything else. The value is a copy.
func ReadEntry(kind Kind, key string, b []byte) (Entry, bool) {
	if len(b) < 8 {
		return Entry{}, false
	}
	e := Entry{Kind: kind, Key: key, Value: append([]byte(nil), b[8:]...)}
	if until := int64(binary.BigEndian.Uint64(b)); until != 0 { // #nosec G115 -- as AppendEntry wrote it
		e.Until = time.Unix(0, until)
	}
	return e, true
}

// EncodeState writes a state as the stores keep it. It is JSON: an operator can read it,
// and a later version may add fields.
func EncodeState(s policy.State) ([]byte, error) { return json.Marshal(s) }

// errState says that a state was not written by EncodeState.
var errState = errors.New("not a state of recovery")

// DecodeState reads what EncodeState wrote. A state that policy.Decide cannot continue
// from is an error: the store may be damaged, or another program may have written to it.
func DecodeState(b []byte) (policy.State, error) {
	var s policy.State
	if err := json.Unmarshal(b, &s); err != nil {
		return policy.State{}, fmt.Errorf("%w: %w", errState, err)
	}
	switch {
	case s.Phase > policy.Exhausted,
		s.Sent < 0, s.Tries < 0, s.UnchargedSent < 0, s.More < 0, s.DeregisterTried < 0,
		len(s.Broken) > policy.MaxBroken:
		return policy.State{}, errState
	}
	for _, b := range s.Broken {
		if b.Progress > policy.Proven {
			return policy.State{}, errState
		}
	}
	return s, nil
}
