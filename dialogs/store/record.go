package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"rewatch/policy"
)

// EncodeState gives a state the form in which the stores keep it. It is JSON: an
// operator may have to read it one night, and a later version may add fields.
func EncodeState(s policy.State) ([]byte, error) { return json.Marshal(s) }

// errState says that a state was not written by EncodeState.
var errState = errors.New("not a state of recovery")

// DecodeState reads it back. What Decide could not go on from is an error: a
// store may be damaged, or written by somebody else.
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
