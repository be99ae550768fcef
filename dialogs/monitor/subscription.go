package monitor

import (
	"strings"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/redelivery"
	"rewatch/policy"
)

// phase is the phase of a subscription's life.
type phase uint8

const (
	// requested: a SUBSCRIBE was seen, but neither its 2xx nor a NOTIFY.
	requested phase = iota
	// active: its 2xx or a NOTIFY was seen.
	active
	// ending: after an un-SUBSCRIBE, a fetch or a terminated NOTIFY. The outcome of its
	// NOTIFYs does not matter any more.
	ending
	// dead: a NOTIFY failed, and rewatch answers for the dialog with 481.
	dead
)

// String is the name in the admin API.
func (p phase) String() string {
	return [...]string{"requested", "active", "ending", "dead"}[p]
}

// The texts of a subscription, in the order in which they lie in its string.
const (
	textCallID = iota
	textWatcherTag
	textNotifierTag
	textEvent // with id parameter, "presence;id=7"
	textWatcher
	textResource
	textContact // URI
	textDevice  // +sip.instance or GRUU, empty if none was seen
	textAgent   // User-Agent, at most maxAgent bytes
	texts
)

// signedOut says whether the user of a subscription has signed out since it was accepted.
// Then the outcome of its NOTIFYs does not matter, unless a later NOTIFY is answered with a
// 2xx.
type signedOut uint8

const (
	notSignedOut signedOut = iota
	hasSignedOut
	// notifiedSince: a NOTIFY was sent after the user had signed out.
	notifiedSince
)

// subscription is one usage of one dialog. All its texts are one string, so that it costs
// one allocation. It belongs to its shard and is changed under the lock of the shard; a copy
// may be used without the lock.
//
// A NOTIFY and its 2xx use its first cache line alone.
type subscription struct {
	identity uint64 // of the ID, see hasher.identity
	sent     int64  // when the last NOTIFY passed, in Unix nanoseconds, as all times here
	expires  int64
	until    int64 // when the sweep removes the record

	tag        uint32 // of the Call-ID
	next       uint32 // in the chain of the Call-ID
	generation uint32
	notifyCSeq uint32 // of the last NOTIFY
	// transaction is the upper half of the last NOTIFY's dialogs.Message.Transaction;
	// answered: that transaction got its 2xx.
	transaction uint32
	user        uint32 // the dialogs.UserID of its watcher

	phase phase
	label eventLabel

	answered bool
	// waiting: after a temporary failure the next NOTIFY decides (subShard.waiting).
	waiting    bool
	failed     bool // a NOTIFY has failed; failedCSeq is set
	terminated bool // a NOTIFY said terminated; terminatedCSeq is set
	// proven: a NOTIFY of the subscription was answered with a 2xx.
	proven    bool
	signedOut signedOut

	text string
	ends [texts]uint16

	// fetch: its SUBSCRIBE was initial and had Expires: 0 (RFC 6665 4.4.3).
	fetch bool
	// initial: its initial SUBSCRIBE was seen; announced: the Engine was told of it.
	initial, announced bool
	// endTold: the Engine was told that the watcher has unsubscribed.
	endTold bool
	// emergency: its Contact is an emergency registration.
	emergency bool
	// usedCSeq: rewatch has sent a NOTIFY in the dialog, so the CSeqs of the server do not
	// fit any more.
	usedCSeq bool
	// noted: it is in subNotes.changed; journalled: the Journal has an entry of it.
	noted, journalled bool
	// untold counts the events of this subscription that the Engine is about to be told.
	untold uint8
	// undelivered: the Post keeps NOTIFYs of it.
	undelivered bool
	// keptEntry: the Journal tells other replicas of that.
	keptEntry bool
	// headKept: subShard.heads has the head of the failed NOTIFY.
	headKept bool
	// former is the hasher.target of the Contact before the present one; 0: it had none.
	former uint16

	node          uint32 // in the list of its user
	subscribeCSeq uint32 // of the last SUBSCRIBE
	acceptedCSeq  uint32 // of the last SUBSCRIBE that got a 2xx, at accepted; before that, of the first refresh
	asked         int32  // Expires of the last SUBSCRIBE in seconds; -1: absent
	// openCSeq is the CSeq of the NOTIFY that was forwarded at sent and has no outcome yet;
	// 0: there is none. It is set only where NOTIFYs may be kept.
	openCSeq uint32
	// openKey is the lower half of its transaction, the upper half is in transaction.
	openKey uint32
	// birth orders subscriptions by their initial SUBSCRIBE; 0: that was not seen.
	birth uint64

	accepted int64

	terminatedCSeq uint32 // of the NOTIFY that said terminated
	failedCSeq     uint32 // of the NOTIFY that failed, until a late 2xx
}

// used says whether there is a subscription in the slot.
func (s *subscription) used() bool { return s.text != "" }

func (s *subscription) link() *uint32 { return &s.next }

func (s *subscription) part(i int) string {
	if i == 0 {
		return s.text[:s.ends[0]]
	}
	return s.text[s.ends[i-1]:s.ends[i]]
}

func (s *subscription) callID() string      { return s.part(textCallID) }
func (s *subscription) watcherTag() string  { return s.part(textWatcherTag) }
func (s *subscription) notifierTag() string { return s.part(textNotifierTag) }
func (s *subscription) event() string       { return s.part(textEvent) }
func (s *subscription) watcher() string     { return s.part(textWatcher) }
func (s *subscription) resource() string    { return s.part(textResource) }
func (s *subscription) contact() string     { return s.part(textContact) }
func (s *subscription) device() string      { return s.part(textDevice) }
func (s *subscription) agent() string       { return s.part(textAgent) }

// textBuilder makes the string of a subscription's texts, with one allocation if Grow was
// called with the right length.
type textBuilder struct {
	strings.Builder
	ends [texts]uint16
	n    int
}

// end ends a text.
func (b *textBuilder) end() {
	b.ends[b.n] = uint16(b.Len()) // #nosec G115 -- each part is bounded
	b.n++
}

func (b *textBuilder) add(text []byte) {
	_, _ = b.Write(text)
	b.end()
}

func (b *textBuilder) addString(text string) {
	_, _ = b.WriteString(text)
	b.end()
}

// replace changes one of the texts.
func (s *subscription) replace(i int, with []byte) {
	var b textBuilder
	b.Grow(len(s.text) - len(s.part(i)) + len(with))
	for j := range texts {
		if j == i {
			b.add(with)
		} else {
			b.addString(s.part(j))
		}
	}
	s.text, s.ends = b.String(), b.ends
}

// sameDialogs says whether s and id come from one SUBSCRIBE: they agree in all but the
// notifier tag, which differs if the SUBSCRIBE was forked.
func (s *subscription) sameDialogs(id *ident.ID) bool {
	return s.callID() == string(id.CallID) && s.watcherTag() == string(id.WatcherTag) &&
		ident.EventIs(s.event(), id.Package, id.Param)
}

// overdue says whether its open NOTIFY is to be sent anew upon a request of a device (empty:
// of any): it has been open for a while, or the client has moved.
func (s *subscription) overdue(device string, msg *dialogs.Message, at time.Time) bool {
	own := string(msg.CallID) == s.callID()
	if own && len(msg.Contacts) == 1 && string(msg.Contacts[0].URI) != s.contact() {
		return true
	}
	return at.UnixNano()-s.sent > int64(redelivery.Stale) && (own || device == "" || device == s.deviceKey())
}

// unanswered says whether its only SUBSCRIBE, the initial one, has got no 2xx yet, and no NOTIFY
// has failed. Who refreshes it has had that 2xx.
func (s *subscription) unanswered() bool {
	return s.initial && s.acceptedCSeq == 0 && s.phase != dead
}

// goesOn says whether NOTIFYs are kept for a subscription: nobody waits for those of a user
// who has signed out.
func (s *subscription) goesOn() bool { return s.phase == active && s.signedOut == notSignedOut }

// over says whether the subscription has ended otherwise at a time.
func (s *subscription) over(at int64) bool {
	return s.phase == ending || s.signedOut != notSignedOut || s.phase != dead && s.phase != requested && at > s.expires
}

// broken gives what package policy needs of the subscription.
func (s *subscription) broken() policy.Broken {
	b := policy.Broken{
		Event: s.event(), Resource: s.resource(), CallID: s.callID(), Tag: s.notifierTag(),
		Device: s.device(), Contact: s.contact(), Agent: s.agent(),
	}
	if s.expires != 0 {
		b.Due = time.Unix(0, max(s.until, s.expires)).UTC()
	}
	return b
}

// lasts sets the expiry to some seconds after at. The record is kept for 64*T1 longer, in
// which the last NOTIFY may still be under way.
func (s *subscription) lasts(at int64, seconds int, linger time.Duration) {
	s.expires = at + int64(seconds)*int64(time.Second)
	s.until = s.expires + int64(linger)
}

// assumedExpires is the expiry, in seconds, of a subscription or registration that names none.
const assumedExpires = 3600

// maxSeconds bounds every expiry; RFC 3261 allows up to 2**32-1.
const maxSeconds = 1 << 31

// id is the ID of this subscription.
func (s *subscription) id() ident.ID {
	id := ident.ID{CallID: []byte(s.callID()), WatcherTag: []byte(s.watcherTag()), NotifierTag: []byte(s.notifierTag())}
	e := ident.SplitEvent(s.event())
	id.Package, id.Param = e.Package, e.ID
	return id
}
