package monitor

import (
	"bytes"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/monitor/ident"
	"rewatch/policy"
)

// registration is what the third-party REGISTERs of a user's S-CSCF have said
// (TS 24.229 5.4.1.7). The zero value is no registration.
type registration struct {
	scscf string // Contact URI of the S-CSCF
	// identities are the identities of the user, separated by blanks; empty if it has one.
	identities string
	until      int64 // when it expires, in Unix nanoseconds; 0: there is no registration
	// asked is until when the user's own REGISTER asks to be registered, in Unix nanoseconds; 0: it
	// is answered.
	asked     int64
	request   uint64 // hash of Call-ID and CSeq of the last REGISTER
	atServer  bool   // the server accepted that REGISTER
	emergency bool   // a Contact is an emergency registration
	leaving   bool   // that REGISTER asks to sign a device out, and is not answered yet
	// posted: no third party has said so and no 2xx: only a REGISTER that claims to be the user's.
	posted bool
}

func (r *registration) known() bool { return r.until != 0 }

// seen: a third party or the registrar says that there is a registration.
func (r *registration) seen() bool { return r.known() && !r.posted }

// served: an S-CSCF has told of it, and is the registrar. What the server says to a REGISTER of the user
// itself says nothing of it.
func (r *registration) served() bool { return r.scscf != "" }

// Register is told of a REGISTER before it is forwarded. A third-party REGISTER (from the
// user's S-CSCF) is believed at once: it states a fact, whatever the server answers. If the
// user itself sends it, the server is the registrar: nobody else can check who has sent it. So its
// 2xx says what the registration is, and which of the user's devices stay; before that such a
// REGISTER ends, shortens and moves nothing.
func (m *Monitor) Register(msg *dialogs.Message) dialogs.Ruling {
	if msg.Side == dialogs.Server {
		return dialogs.Ruling{}
	}
	at := instant(msg.At)
	expires, own := registerExpires(msg), byItself(msg)
	var identities []string
	if !own && !msg.Unasserted {
		identities = m.identities.Learn(msg, at, expires)
	}
	aor, ok := m.canonicalUser(msg.ToURI)
	if !ok {
		m.untracked[untrackedMalformed].Inc()
		return dialogs.Ruling{}
	}
	if msg.Unasserted && !own || own && m.posed(msg, aor) {
		m.untracked[untrackedIdentity].Inc()
		return dialogs.Ruling{}
	}
	if expires == 0 {
		if own {
			m.asksToSignOut(aor, msg)
		} else {
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
	if !own {
		m.periods.Ask(aor, at)
	}
	var serving []byte
	var device policy.Broken
	if !own {
		serving = servingContact(msg)
	} else if m.rec.Interested(aor) {
		device = deviceIn(msg)
	}
	lapsed, began := m.beginRegistration(aor, msg, own, serving, at, expires, identities)
	m.periods.Began(aor, at, lapsed, began && !own, device)
	if own {
		m.parcels.signOfLife(aor, msg)
	} else if m.redelivers() {
		m.parcels.aliveDevice(aor, "", msg) // its Contact is the S-CSCF, not a device
	}
	return dialogs.Ruling{}
}

// signOut ends the registration of a user, and its subscriptions.
func (m *Monitor) signOut(aor string, at time.Time) {
	m.endRegistration(aor, nil)
	_, refs, _ := m.user(aor, math.MaxInt)
	for _, ref := range refs {
		sh := &m.subs[shardOf(ref)]
		sh.mu.Lock()
		if s, slot := sh.lookup(ref); s != nil && s.phase == active {
			m.undeliver(sh, slot)
			s.signedOut = hasSignedOut
			sh.stopWaiting(slot)
			m.note(sh, slot)
		}
		sh.mu.Unlock()
	}
	m.rec.Offer(aor, policy.Event{Kind: policy.Deregistered, At: at})
}

// posed says whether a user's own REGISTER is of another than the core asserts.
func (t *Table) posed(msg *dialogs.Message, user string) bool {
	if !aor.NamesUser(msg.Identities) {
		return false
	}
	sender, _ := t.watcherOf(msg)
	return sender != user
}

// byItself says whether the user sends the REGISTER itself (From and To are one address):
// then the server is the registrar.
// What the core asserts to come from a user is no S-CSCF's, whatever its From says.
func byItself(msg *dialogs.Message) bool {
	if aor.NamesUser(msg.Identities) {
		return true
	}
	var scratch [2][aor.MaxScratch]byte
	from, ok := aor.Append(scratch[0][:0], msg.FromURI)
	to, sound := aor.Append(scratch[1][:0], msg.ToURI)
	return ok && sound && bytes.Equal(from, to)
}

// deviceIn names the device of the first Contact that is registered.
func deviceIn(msg *dialogs.Message) (sub policy.Broken) {
	for i := range msg.Contacts {
		if c := &msg.Contacts[i]; contactExpires(c, msg.Expires) != 0 {
			return policy.Broken{Device: string(ident.Device(c)), Contact: string(c.URI)}
		}
	}
	return sub
}

// asksToSignOut notes that a device of a user asks to be signed out, for RegisterDone.
func (m *Monitor) asksToSignOut(aor string, msg *dialogs.Message) {
	us, hash := m.userShard(aor)
	us.mu.Lock()
	defer us.mu.Unlock()
	slot := us.find(hash, aor)
	if slot == 0 {
		return
	}
	if r := &us.users.At(slot).registration; r.known() && !r.served() {
		r.request, r.leaving, r.asked = m.requestHash(msg), true, 0
	}
}

// RegisterDone is told of the final response to a REGISTER. The response to a user's own
// REGISTER lists all bindings, so it says how long the registration lasts.
func (m *Monitor) RegisterDone(msg *dialogs.Message) {
	if msg.Status < 200 || msg.Status > 299 {
		return // the server keeps what it had
	}
	at := instant(msg.At)
	aor, ok := m.canonicalUser(msg.ToURI)
	if !ok {
		return
	}
	if byItself(msg) {
		m.periods.Ask(aor, at)
	}
	left, began := m.bindings(aor, msg, at)
	if left {
		m.signOut(aor, at)
	} else if began {
		m.periods.Began(aor, at, false, true, policy.Broken{})
	}
}

// bindings updates the registration of a user by a 2xx. left: the last device has left; began: it
// begins the registration.
func (t *Table) bindings(aor string, msg *dialogs.Message, at time.Time) (left, began bool) {
	us, hash := t.userShard(aor)
	us.mu.Lock()
	defer us.mu.Unlock()
	slot, own := us.find(hash, aor), byItself(msg)
	if slot == 0 || !us.users.At(slot).registration.known() {
		return own && len(msg.Contacts) == 0, false // a registration that we have not seen
	}
	r := &us.users.At(slot).registration
	if r.request != t.requestHash(msg) {
		return false, false // the response to an older REGISTER
	}
	expires := registerExpires(msg)
	left = r.leaving && (len(msg.Contacts) == 0 || expires == 0)
	if r.asked != 0 {
		r.until = r.asked
	}
	if own && len(msg.Contacts) > 0 {
		r.emergency = isEmergency(msg)
	}
	began = r.posted
	r.atServer, r.leaving, r.posted, r.asked = true, false, false, 0
	until := at.Add(time.Duration(expires) * time.Second).UnixNano()
	switch {
	case expires <= 0:
	case own && len(msg.Contacts) > 0:
		r.until = until
	default:
		r.until = min(r.until, until)
	}
	t.noteRegistration(us, aor)
	return left, began
}

// SignedOut implements Directory. A user that registers again at once, because the core has
// told its phone, may be heard here before the response to the de-REGISTER.
func (t *Table) SignedOut(u dialogs.User) bool {
	return t.endRegistration(u.AOR, &u.Request)
}

// beginRegistration notes a REGISTER, which the user itself sent (own), or the S-CSCF, whose Contact
// is serving. lapsed: an earlier registration had expired; began: this REGISTER begins a new one.
func (t *Table) beginRegistration(
	aor string, msg *dialogs.Message, own bool, serving []byte, at time.Time, expires int, identities []string,
) (lapsed, began bool) {
	us, hash := t.userShard(aor)
	us.mu.Lock()
	defer us.mu.Unlock()
	slot := us.find(hash, aor)
	known := slot != 0 && us.users.At(slot).registration.known()
	posted := known && us.users.At(slot).registration.posted
	if !known {
		if slot = t.admit(us, slot, hash, aor); slot == 0 {
			return false, false
		}
	}
	r := &us.users.At(slot).registration
	if lapsed = known && r.until <= at.UnixNano(); lapsed {
		r.atServer = false
	}
	if own && known && !lapsed && r.served() {
		return false, false
	}
	until := at.Add(time.Duration(expires) * time.Second).UnixNano()
	r.request, r.leaving = t.requestHash(msg), false
	if own && known && !lapsed {
		r.asked, r.emergency = until, r.emergency || isEmergency(msg)
		return false, false
	}
	if all := strings.Join(identities, " "); all != "" && r.identities != all && !t.textsFull(len(all)-len(r.identities)) {
		t.texts.Add(int64(len(all) - len(r.identities)))
		r.identities = all
	}
	if r.scscf != string(serving) && !t.textsFull(len(serving)-len(r.scscf)) {
		t.texts.Add(int64(len(serving) - len(r.scscf)))
		r.scscf = string(serving)
	}
	r.emergency = isEmergency(msg)
	r.until, r.posted, r.asked = until, own, 0
	t.noteRegistration(us, aor)
	return lapsed && !posted, !known || lapsed || posted
}

// servingContact is the Contact of a third-party REGISTER, the S-CSCF; nil if it cannot be
// the URI of a Route.
func servingContact(msg *dialogs.Message) []byte {
	contact := firstContact(msg).URI
	if !ident.IsURI(contact) || !bytes.EqualFold(contact[:min(len(contact), 3)], []byte("sip")) {
		return nil
	}
	return contact
}

// endRegistration ends the registration of a user. It is false, and does nothing, if a
// request is given and the registration is from another one.
func (t *Table) endRegistration(aor string, request *uint64) bool {
	us, hash := t.userShard(aor)
	us.mu.Lock()
	defer us.mu.Unlock()
	slot := us.find(hash, aor)
	if slot != 0 {
		if r := &us.users.At(slot).registration; r.known() && request != nil && r.request != *request {
			return false
		}
		t.clearRegistration(us, slot)
	}
	// Other replicas have to learn of it even if this one did not know the registration.
	t.noteRegistration(us, aor)
	return true
}

// registerExpires is the longest expiry of the Contacts of a REGISTER or of its 2xx, in
// seconds; -1: absent.
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

// contactExpires is the expiry of one Contact in seconds: its parameter, else the header
// field (RFC 3261 10.2.1.1); -1: absent.
func contactExpires(c *dialogs.Contact, header int) int {
	if c.Expires >= 0 {
		return c.Expires
	}
	return min(header, maxSeconds)
}

// isEverything says whether the Contact is "*", which stands for all bindings.
func isEverything(list []dialogs.Contact) bool { return len(list) == 1 && string(list[0].URI) == "*" }

// isEmergency says whether a Contact of a REGISTER is an emergency registration.
func isEmergency(msg *dialogs.Message) bool {
	return slices.ContainsFunc(msg.Contacts, func(c dialogs.Contact) bool { return c.Emergency })
}

// requestHash tells one REGISTER from another.
func (h *hasher) requestHash(msg *dialogs.Message) uint64 {
	return maphash.Bytes(h.seed, msg.CallID) + uint64(msg.CSeq)
}
