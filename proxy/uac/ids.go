package uac

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"sync"
)

// idSource makes tags, branches, Call-IDs and charging identifiers. It is one
// source for all of them, so that a test can make a message predictable.
type idSource struct {
	mu sync.Mutex
	r  io.Reader
	// key is the secret of the branches, so that nobody else can make one.
	key []byte
}

// macLength is how much of a branch proves that it is ours, in bytes.
const macLength = 8

func (s *idSource) mac(id string) string {
	h := hmac.New(sha256.New, s.key)
	_, _ = io.WriteString(h, id)
	return hex.EncodeToString(h.Sum(nil)[:macLength])
}

// mine tells whether a branch was made here.
func (s *idSource) mine(branch string) bool {
	id, ok := strings.CutPrefix(branch, BranchPrefix)
	if !ok || len(id) <= 2*macLength {
		return false
	}
	at := len(id) - 2*macLength
	return hmac.Equal([]byte(id[at:]), []byte(s.mac(id[:at])))
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

func (s *idSource) branch() string {
	id := s.hex(12)
	return BranchPrefix + id + s.mac(id)
}

func (s *idSource) tag() string    { return s.hex(6) }
func (s *idSource) callID() string { return s.hex(16) }
