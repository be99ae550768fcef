// Package identities knows which identities belong to one user: those of an implicit
// registration set (TS 23.228 5.2.1a), which are registered together. They share one count,
// one route and one sign-out. P-Associated-URI lists them, the default one first (RFC 7315
// 4.1).
package identities

import (
	"cmp"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
)

const (
	// most bounds the identities of one user.
	most = 16
	// linger is how long an identity is kept after the registration has ended, for its
	// subscriptions may last longer.
	linger = time.Hour
	// each is about the memory of one identity without its texts, in bytes.
	each = 128
)

// identity says which user another identity belongs to.
type identity struct {
	user  string // its first identity, under which everything is kept
	until int64  // Unix nanoseconds
}

// Shards is how many parts a Set has, each with a lock of its own.
const Shards = 64

// Set has the other identities of users. Its methods may be called from any goroutine.
type Set struct {
	take func(bytes int) bool
	give func(bytes int)
	any  atomic.Bool // whether there was ever one

	seed   maphash.Seed
	shards [Shards]shard
}

type shard struct {
	mu     sync.Mutex
	others map[string]identity
}

// New makes an empty Set. take reserves memory for one more identity, or is false; give
// releases it.
func New(take func(bytes int) bool, give func(bytes int)) *Set {
	return &Set{take: take, give: give, seed: maphash.MakeSeed()}
}

// associated gives the identities that a REGISTER lists, canonical, the first SIP URI first. It
// gives none unless the user that registers (to) is in the list and another one as well.
func associated(msg *dialogs.Message, to string) []string {
	all, member := make([]string, 0, len(msg.Associated)), false
	for _, uri := range msg.Associated {
		user, ok := aor.Canonical(uri)
		if !ok || len(all) == most || strings.IndexByte(user, ' ') >= 0 {
			continue
		}
		member = member || user == to
		if len(all) > 0 && strings.HasPrefix(user, "sip") && !strings.HasPrefix(all[0], "sip") {
			all[0], user = user, all[0]
		}
		all = append(all, user)
	}
	if !member || len(all) < 2 {
		return nil
	}
	return all
}

// Add notes that the identities belong to one user, the first of them, until the registration
// ends and an hour longer.
func (s *Set) Add(identities []string, until time.Time) {
	for _, other := range identities[min(1, len(identities)):] {
		if user := identities[0]; other != user {
			s.add(other, identity{user, until.Add(linger).UnixNano()})
		}
	}
}

func (s *Set) add(other string, of identity) {
	sh := &s.shards[maphash.String(s.seed, other)%Shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old, known := sh.others[other]
	switch {
	case !known:
		if !s.take(each + len(other) + len(of.user)) {
			return
		}
	case len(old.user) != len(of.user):
		s.give(len(old.user) - len(of.user))
	}
	if sh.others == nil {
		sh.others = make(map[string]identity)
	}
	sh.others[other] = of
	s.any.Store(true)
}

// UserOf gives the user that a canonical URI is another identity of; empty if there is none.
func (s *Set) UserOf(canonical []byte) string {
	if !s.any.Load() {
		return ""
	}
	sh := &s.shards[maphash.Bytes(s.seed, canonical)%Shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.others[string(canonical)].user
}

// Named gives the user that has an identity, which has to be canonical: the identity itself
// unless it is another one of a user.
func (s *Set) Named(canonical string) string {
	if !s.any.Load() {
		return canonical
	}
	sh := &s.shards[maphash.String(s.seed, canonical)%Shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return cmp.Or(sh.others[canonical].user, canonical)
}

// Forget removes the expired identities of one of the Shards.
func (s *Set) Forget(number int, now time.Time) {
	sh := &s.shards[number]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for other, o := range sh.others {
		if o.until <= now.UnixNano() {
			s.give(each + len(other) + len(o.user))
			delete(sh.others, other)
		}
	}
}

// Learn notes and gives the identities that a REGISTER lists; expires is in seconds.
func (s *Set) Learn(msg *dialogs.Message, at time.Time, expires int) []string {
	if len(msg.Associated) == 0 {
		return nil
	}
	var scratch [aor.MaxScratch]byte
	to, ok := aor.Append(scratch[:0], msg.ToURI)
	if !ok {
		return nil
	}
	identities := associated(msg, string(to))
	s.Add(identities, at.Add(time.Duration(max(expires, 0))*time.Second))
	return identities
}
