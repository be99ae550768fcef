package uac

import (
	"encoding/hex"
	"io"
	"sync"
)

// idSource makes tags, branches, Call-IDs and charging identifiers. It is one
// source for all of them, so that a test can make a message predictable.
type idSource struct {
	mu sync.Mutex
	r  io.Reader
}

// hex gives 2*n random hexadecimal digits. A source that fails leaves zeros:
// crypto/rand never does, and a request with a poor tag is better than none.
func (s *idSource) hex(n int) string {
	b := make([]byte, n)
	s.mu.Lock()
	_, _ = io.ReadFull(s.r, b)
	s.mu.Unlock()
	return hex.EncodeToString(b)
}

func (s *idSource) branch() string { return BranchPrefix + s.hex(12) }
func (s *idSource) tag() string    { return s.hex(6) }
func (s *idSource) callID() string { return s.hex(16) }
