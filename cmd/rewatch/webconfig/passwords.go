package webconfig

import (
	"crypto/sha256"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// maxKnown bounds the passwords that are remembered to be right.
const maxKnown = 256

// nobody is the hash of a password that nobody has: a user that is not known takes as long
// as one that is.
const nobody = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"

// passwords compares passwords with hashes (bcrypt), one at a time, for that is meant to
// take long. Those that were right are remembered by a digest, since a console asks every
// other second.
type passwords struct {
	slow sync.Mutex

	mu      sync.Mutex
	digests map[[sha256.Size]byte]struct{}
}

// right says whether a password is the one of a hash, of a user that is known.
func (p *passwords) right(user, hash string, known bool, password string) bool {
	if !known {
		hash = nobody
	}
	digest := sha256.Sum256([]byte(user + "\x00" + hash + "\x00" + password))
	p.mu.Lock()
	_, before := p.digests[digest]
	p.mu.Unlock()
	if before {
		return known
	}
	p.slow.Lock()
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	p.slow.Unlock()
	if err != nil || !known {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.digests == nil || len(p.digests) >= maxKnown {
		p.digests = make(map[[sha256.Size]byte]struct{})
	}
	p.digests[digest] = struct{}{}
	return true
}
