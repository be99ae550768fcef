package monitor

import (
	"bytes"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
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
}

func (r *registration) known() bool { return r.until != 0 }

// Register is told of a third-party REGISTER before it is forwarded. It is
// believed at once: the S-CSCF states a fact, whatever the server makes of it.
func (m *Monitor) Register(msg *dialogs.Message) dialogs.Ruling {
	if msg.Side == dialogs.Server {
		return dialogs.Ruling{}
	}
	aor, ok := m.spelled(msg.ToURI)
	if !ok {
		m.untracked[untrackedMalformed].Inc()
		return dialogs.Ruling{}
	}
	at := instant(msg.At)
	expires := registerExpires(msg)
	if expires == 0 {
		// Also the echo of our own de-REGISTER, which starts nothing.
		m.endRegistration(aor)
		m.rec.Offer(aor, policy.Event{Kind: policy.Deregistered, At: at})
		return dialogs.Ruling{}
	}
	if m.refused(aor, at) {
		return dialogs.Ruling{Status: 403, Reason: "Forbidden"}
	}
	if expires < 0 {
		expires = assumedExpires
	}
	m.askRegistered(aor, at)
	lapsed, began := m.beginRegistration(aor, msg, at, expires)
	m.registeredHere(aor, at, lapsed, began)
	return dialogs.Ruling{}
}

// RegisterDone is told of the final response to a third-party REGISTER.
func (m *Monitor) RegisterDone(msg *dialogs.Message) {
	if msg.Status < 200 || msg.Status > 299 {
		return // the server keeps what it had
	}
	aor, ok := m.spelled(msg.ToURI)
	if !ok {
		return
	}
	hash := m.hashAOR(aor)
	us := m.userShard(hash)
	us.mu.Lock()
	defer us.mu.Unlock()
	slot := us.find(hash, aor)
	if slot == 0 {
		return
	}
	r := &us.users.At(slot).registration
	if !r.known() || r.request != m.requestHash(msg) {
		return // the answer to an older REGISTER, or to the last one
	}
	r.atServer = true
	m.noteRegistration(us, aor)
	if expires := registerExpires(msg); expires > 0 {
		r.until = min(r.until, instant(msg.At).Add(time.Duration(expires)*time.Second).UnixNano())
	}
}

// SignedOut implements Directory. Who registers again at once, because the core has
// told his phone, may be heard here before the answer to the de-REGISTER is.
func (t *Table) SignedOut(u dialogs.User) bool {
	return t.endRegistrationIf(u.AOR, func(r *registration) bool { return r.request == u.Request })
}

// beginRegistration notes a REGISTER. lapsed: an earlier period had ended by
// itself; began: this one is new.
func (t *Table) beginRegistration(aor string, msg *dialogs.Message, at time.Time, expires int) (lapsed, began bool) {
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
	if contact := servingContact(msg, aor); r.scscf != string(contact) && !t.wordy(len(contact)-len(r.scscf)) {
		t.texts.Add(int64(len(contact) - len(r.scscf)))
		r.scscf = string(contact)
	}
	r.emergency = hasFlag(msg.Contact, "sos")
	r.until = at.Add(time.Duration(expires) * time.Second).UnixNano()
	r.request = t.requestHash(msg)
	t.noteRegistration(us, aor)
	return lapsed, !known || lapsed
}

// admit counts one more user who is registered; false: there is no room for him.
func (t *Table) admit(aor string) bool {
	if t.registered.Add(1) > int64(t.cfg.MaxSubscriptions) || t.wordy(len(aor)) {
		t.registered.Add(-1)
		t.untracked[untrackedFull].Inc()
		return false
	}
	t.texts.Add(int64(len(aor)))
	return true
}

// servingContact is the Contact of a third-party REGISTER, the S-CSCF. Where the user
// registers for himself (the server is the registrar) it is his phone, which is
// no way to him for others.
func servingContact(msg *dialogs.Message, user string) []byte {
	var scratch [aor.MaxScratch]byte
	contact := aor.AddrSpec(msg.Contact)
	if from, ok := aor.Append(scratch[:0], msg.FromURI); !fit(contact) || ok && string(from) == user {
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
	t.texts.Add(-int64(len(u.aor) + len(u.registration.scscf)))
	u.registration = registration{}
	t.registered.Add(-1)
	us.forget(slot)
}

// registerExpires is the length that a REGISTER or its 2xx gives: the
// parameter of the Contact, else the header (RFC 3261 10.2.1.1).
func registerExpires(msg *dialogs.Message) int {
	if bytes.Equal(bytes.TrimSpace(msg.Contact), []byte{'*'}) {
		return 0
	}
	params := msg.Contact
	if i := bytes.LastIndexByte(params, '>'); i >= 0 {
		params = params[i+1:]
	}
	if _, after, ok := bytes.Cut(params, []byte{';'}); ok {
		if n := seconds(aor.Param(after, "expires")); n >= 0 {
			return n
		}
	}
	return min(msg.Expires, maxSeconds)
}

// requestHash tells one REGISTER from another.
func (h *hasher) requestHash(msg *dialogs.Message) uint64 {
	return h.hashBytes(msg.CallID) + uint64(msg.CSeq)
}
