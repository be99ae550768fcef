package monitor

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/monitor/ident"
	"rewatch/policy"
)

// registration is what the third-party REGISTERs of a user's S-CSCF have told
// (TS 24.229 5.4.1.7). The zero value is no registration.
type registration struct {
	scscf     string // Contact URI
	until     int64  // unix nanoseconds; 0: none
	request   uint64 // hash of Call-ID and CSeq of the last REGISTER
	atServer  bool   // the server accepted it
	emergency bool
	// identities are those of the user, blank-separated; empty if there is but one.
	identities string
	leaving    bool // that REGISTER asked to sign a device out, and is not answered
}

func (r *registration) known() bool { return r.until != 0 }

// Register is told of a REGISTER before it is forwarded. One of a third party (the
// user's S-CSCF) is believed at once: it states a fact, whatever the server makes of it.
// Where the user itself asks to be signed out, the server is the registrar, and its answer
// says which of the user's devices stay.
func (m *Monitor) Register(msg *dialogs.Message) dialogs.Ruling {
	if msg.Side == dialogs.Server {
		return dialogs.Ruling{}
	}
	at := instant(msg.At)
	expires, own := registerExpires(msg), byItself(msg)
	identities := m.identities.Learn(msg, at, expires)
	aor, ok := m.canonicalUser(msg.ToURI)
	if !ok {
		m.untracked[untrackedMalformed].Inc()
		return dialogs.Ruling{}
	}
	if expires == 0 {
		// Also the echo of our own de-REGISTER, which starts nothing.
		if isEverything(msg.Contacts) || !own || !m.asksToSignOut(aor, msg) {
			m.signOut(aor, at)
		}
		return dialogs.Ruling{}
	}
	if m.refused(aor, at) {
		return dialogs.Ruling{Status: 403, Reason: "Forbidden"}
	}
	m.throughput.Heard(msg, at, aor)
	if expires < 0 {
		expires = assumedExpires
	}
	m.periods.Ask(aor, at)
	var serving []byte
	var device policy.Broken
	if !own {
		serving = servingContact(msg)
	} else if m.rec.Interested(aor) {
		device = deviceIn(msg)
	}
	lapsed, began := m.beginRegistration(aor, msg, serving, at, expires, identities)
	m.periods.Began(aor, at, lapsed, began, device)
	if own {
		m.parcels.signOfLife(aor, msg)
	} else if m.rules.redelivers() {
		m.parcels.aliveDevice(aor, "", msg) // it names the S-CSCF, and no device
	}
	return dialogs.Ruling{}
}

// signOut ends the registration of a user, and its subscriptions with it.
func (m *Monitor) signOut(aor string, at time.Time) {
	m.endRegistration(aor)
	_, refs, _ := m.user(aor, math.MaxInt)
	for _, ref := range refs {
		sh := &m.subs[shardOf(ref)]
		sh.mu.Lock()
		if s, slot := sh.lookup(ref); s != nil && s.phase == active {
			m.undeliver(sh, slot)
			s.signedOut = hasSignedOut
			if s.waiting {
				s.waiting = false
				delete(sh.waiting, slot)
			}
			m.note(sh, slot)
		}
		sh.mu.Unlock()
	}
	m.rec.Offer(aor, policy.Event{Kind: policy.Deregistered, At: at})
}

// byItself says whether the user sends the REGISTER itself: the server is the registrar.
func byItself(msg *dialogs.Message) bool {
	var scratch [2][aor.MaxScratch]byte
	from, ok := aor.Append(scratch[0][:0], msg.FromURI)
	to, sound := aor.Append(scratch[1][:0], msg.ToURI)
	return ok && sound && bytes.Equal(from, to)
}

// deviceIn names the device that a user registers by itself.
func deviceIn(msg *dialogs.Message) (sub policy.Broken) {
	for i := range msg.Contacts {
		if c := &msg.Contacts[i]; contactExpires(c, msg.Expires) != 0 {
			return policy.Broken{Device: string(ident.Device(c)), Contact: string(c.URI)}
		}
	}
	return sub
}

// asksToSignOut notes that a device of a user asks to be signed out. It is false if no
// registration is known.
func (m *Monitor) asksToSignOut(aor string, msg *dialogs.Message) bool {
	hash := m.hashAOR(aor)
	us := m.userShard(hash)
	us.mu.Lock()
	defer us.mu.Unlock()
	slot := us.find(hash, aor)
	if slot == 0 || !us.users.At(slot).registration.known() {
		return false
	}
	r := &us.users.At(slot).registration
	r.request, r.leaving = m.requestHash(msg), true
	return true
}

// RegisterDone is told of the final response to a REGISTER. To a user's own it lists all
// the bindings, which is what the registration is then.
func (m *Monitor) RegisterDone(msg *dialogs.Message) {
	if msg.Status < 200 || msg.Status > 299 {
		return // the server keeps what it had
	}
	aor, ok := m.canonicalUser(msg.ToURI)
	if !ok {
		return
	}
	hash, at := m.hashAOR(aor), instant(msg.At)
	us := m.userShard(hash)
	us.mu.Lock()
	slot := us.find(hash, aor)
	if slot == 0 {
		us.mu.Unlock()
		return
	}
	r := &us.users.At(slot).registration
	if !r.known() || r.request != m.requestHash(msg) {
		us.mu.Unlock()
		return // the answer to an older REGISTER, or to the last one
	}
	leaving := r.leaving
	r.atServer, r.leaving = true, false
	expires, own := registerExpires(msg), byItself(msg)
	until := at.Add(time.Duration(expires) * time.Second).UnixNano()
	switch {
	case own && expires > 0 && len(msg.Contacts) > 0:
		r.until = until
	case expires > 0:
		r.until = min(r.until, until)
	}
	m.noteRegistration(us, aor)
	us.mu.Unlock()
	if leaving && (len(msg.Contacts) == 0 || expires == 0) {
		m.signOut(aor, at) // nobody is left
	}
}

// SignedOut implements Directory. Who registers again at once, because the core has
// told their phone, may be heard here before the answer to the de-REGISTER is.
func (t *Table) SignedOut(u dialogs.User) bool {
	return t.endRegistrationIf(u.AOR, func(r *registration) bool { return r.request == u.Request })
}

// beginRegistration notes a REGISTER and the S-CSCF that serves the user, if it sent it.
// lapsed: an earlier period had ended by itself; began: this one is new.
func (t *Table) beginRegistration(aor string, msg *dialogs.Message, serving []byte, at time.Time, expires int, identities []string) (lapsed, began bool) {
	hash := t.hashAOR(aor)
	us := t.userShard(hash)
	us.mu.Lock()
	defer us.mu.Unlock()
	slot := us.find(hash, aor)
	known := slot != 0 && us.users.At(slot).registration.known()
	if !known {
		if !t.admit(aor) {
			return false, false
		}
		slot = us.need(hash, aor)
	}
	r := &us.users.At(slot).registration
	if lapsed = known && r.until <= at.UnixNano(); lapsed {
		r.atServer = false
	}
	if all := strings.Join(identities, " "); all != "" && r.identities != all && !t.textsFull(len(all)-len(r.identities)) {
		t.texts.Add(int64(len(all) - len(r.identities)))
		r.identities = all
	}
	if r.scscf != string(serving) && !t.textsFull(len(serving)-len(r.scscf)) {
		t.texts.Add(int64(len(serving) - len(r.scscf)))
		r.scscf = string(serving)
	}
	r.emergency = slices.ContainsFunc(msg.Contacts, func(c dialogs.Contact) bool { return c.Emergency })
	r.until = at.Add(time.Duration(expires) * time.Second).UnixNano()
	r.request, r.leaving = t.requestHash(msg), false
	t.noteRegistration(us, aor)
	return lapsed, !known || lapsed
}

// admit counts one more user who is registered; false: there is no room for them.
func (t *Table) admit(aor string) bool {
	if t.registered.Add(1) > int64(t.cfg.MaxSubscriptions) || t.textsFull(len(aor)) {
		t.registered.Add(-1)
		t.untracked[untrackedFull].Inc()
		return false
	}
	return true
}

// servingContact is the Contact of a third-party REGISTER, the S-CSCF. Where the user
// registers by itself (the server is the registrar) the Contact is a phone, which is no way
// to the user for others.
func servingContact(msg *dialogs.Message) []byte {
	contact := firstContact(msg).URI
	if !ident.IsURI(contact) {
		return nil
	}
	if !bytes.EqualFold(contact[:min(len(contact), 3)], []byte("sip")) {
		return nil // nothing that a Route can name
	}
	return contact
}

func (t *Table) endRegistration(aor string) {
	t.endRegistrationIf(aor, func(*registration) bool { return true })
}

// endRegistrationIf ends the period of a user, unless there is one that is not meant.
func (t *Table) endRegistrationIf(aor string, meant func(*registration) bool) bool {
	hash := t.hashAOR(aor)
	us := t.userShard(hash)
	us.mu.Lock()
	defer us.mu.Unlock()
	slot := us.find(hash, aor)
	if slot != 0 {
		if r := &us.users.At(slot).registration; r.known() && !meant(r) {
			return false
		}
		t.clearRegistration(us, slot)
	}
	// Where others know the user as well, it ends for them, too.
	t.noteRegistration(us, aor)
	return true
}

// clearRegistration ends the period of a user; the lock of us is held.
func (t *Table) clearRegistration(us *userShard, slot uint32) {
	u := us.users.At(slot)
	if !u.registration.known() {
		return
	}
	t.texts.Add(-int64(len(u.registration.scscf) + len(u.registration.identities)))
	u.registration = registration{}
	t.registered.Add(-1)
	us.forget(slot)
}

// registerExpires is how long the longest of the Contacts lasts that a REGISTER or its
// 2xx names; -1: not told.
func registerExpires(msg *dialogs.Message) int {
	if isEverything(msg.Contacts) {
		return 0
	}
	if len(msg.Contacts) == 0 {
		return min(msg.Expires, maxSeconds)
	}
	longest := 0
	for i := range msg.Contacts {
		n := contactExpires(&msg.Contacts[i], msg.Expires)
		if n < 0 {
			return -1
		}
		longest = max(longest, n)
	}
	return longest
}

// contactExpires is the length of one Contact: its parameter, else the header
// (RFC 3261 10.2.1.1).
func contactExpires(c *dialogs.Contact, header int) int {
	if c.Expires >= 0 {
		return c.Expires
	}
	return min(header, maxSeconds)
}

// isEverything says whether a Contact is "*", all bindings.
func isEverything(list []dialogs.Contact) bool { return len(list) == 1 && string(list[0].URI) == "*" }

// requestHash tells one REGISTER from another.
func (h *hasher) requestHash(msg *dialogs.Message) uint64 {
	return h.hashBytes(msg.CallID) + uint64(msg.CSeq)
}
