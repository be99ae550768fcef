package monitor

import (
	"strings"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
)

// A user has several identities, which are registered together: an implicit registration
// set (TS 23.228 5.2.1a). Whatever is asked or sent by one of them concerns the same
// user: one count, one route, one sign-out. P-Associated-URI tells which they are, the
// default one first (RFC 7315 4.1).

const (
	// maxIdentities bounds those of one user.
	maxIdentities = 16
	// identityLinger is how long an identity is known after the registration has ended:
	// its subscriptions may last longer.
	identityLinger = time.Hour
)

// otherIdentity is one that stands for the user under whom all is kept.
type otherIdentity struct {
	user  string
	until int64 // unix nanoseconds
}

// associated gives the identities of a REGISTER in canonical form, the one first that
// all is kept under: the first SIP URI of the list, if the user who registers is in it.
// There are none but for two and more.
func associated(msg *dialogs.Message, to string) []string {
	all, member := make([]string, 0, len(msg.Associated)), false
	for _, uri := range msg.Associated {
		user, ok := aor.Canonical(uri)
		if !ok || len(all) == maxIdentities || strings.IndexByte(user, ' ') >= 0 {
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

// associate notes that some identities are of one user.
func (t *Table) associate(identities []string, until time.Time) {
	for _, other := range identities[min(1, len(identities)):] {
		hash := t.hashAOR(other)
		us := t.userShard(hash)
		us.mu.Lock()
		switch _, known := us.others[other]; {
		case other == identities[0]:
		case known, t.registered.Load() < int64(t.cfg.MaxSubscriptions) && !t.wordy(len(other)+len(identities[0])):
			if us.others == nil {
				us.others = make(map[string]otherIdentity)
			}
			if !known {
				t.texts.Add(int64(len(other) + len(identities[0])))
			}
			us.others[other] = otherIdentity{identities[0], until.Add(identityLinger).UnixNano()}
			t.aliases.Store(true)
		}
		us.mu.Unlock()
	}
}

// userOf gives the user whose identity this is, in canonical form; empty if it is no
// other identity of anybody's.
func (t *Table) userOf(canonical []byte) string {
	if !t.aliases.Load() {
		return ""
	}
	us := t.userShard(t.hashBytes(canonical))
	us.mu.Lock()
	defer us.mu.Unlock()
	return us.others[string(canonical)].user
}

// forgetIdentities drops those of a shard whose time is over.
func (t *Table) forgetIdentities(us *userShard, now int64) {
	us.mu.Lock()
	defer us.mu.Unlock()
	for other, o := range us.others {
		if o.until <= now {
			t.texts.Add(-int64(len(other) + len(o.user)))
			delete(us.others, other)
		}
	}
}

// identitiesOf gives the identities that a REGISTER names, and notes them.
func (t *Table) identitiesOf(msg *dialogs.Message, at time.Time, expires int) []string {
	var scratch [aor.MaxScratch]byte
	to, ok := aor.Append(scratch[:0], msg.ToURI)
	if !ok || len(msg.Associated) == 0 {
		return nil
	}
	identities := associated(msg, string(to))
	t.associate(identities, at.Add(time.Duration(max(expires, 0))*time.Second))
	return identities
}
