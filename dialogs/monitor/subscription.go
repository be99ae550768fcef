package monitor

import (
	"strings"
	"time"

	"rewatch/dialogs/monitor/ident"
	"rewatch/policy"
)

// phase is where a subscription stands.
type phase uint8

const (
	// requested: a SUBSCRIBE was seen, neither its 2xx nor a NOTIFY.
	requested phase = iota
	// active: confirmed, and wanted.
	active
	// ending: un-SUBSCRIBE, fetch or terminated NOTIFY; what becomes of its
	// NOTIFYs does not matter any more.
	ending
	// dead: a NOTIFY failed, and rewatch has said that the subscription is gone.
	dead
)

// String is the word that the admin API shows.
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
	textAgent   // User-Agent, the beginning of it
	texts
)

// signedOut says whether the user of a subscription has signed out since it was accepted.
// What becomes of its NOTIFYs does not matter then, unless one gets through that was sent
// later.
type signedOut uint8

const (
	notSignedOut signedOut = iota
	hasSignedOut
	// notifiedSince: the last NOTIFY was sent later.
	notifiedSince
)

// subscription is one usage of one dialog. All its text is one string, so that
// it costs one object. It is owned by its shard; a copy may leave the lock.
//
// Its first cache line has all that a NOTIFY and its 2xx touch.
type subscription struct {
	identity uint64 // of the ID, see Monitor.identity
	sent     int64  // when the last NOTIFY passed
	expires  int64  // unix nanoseconds
	until    int64  // when the sweep removes it

	tag        uint32 // of the Call-ID
	next       uint32 // in the chain of the Call-ID
	generation uint32
	notifyCSeq uint32 // of the last NOTIFY
	// transaction is a part of what the last NOTIFY's is known by; answered: that
	// got its 2xx.
	transaction uint32
	user        uint32 // the dialogs.UserID of its watcher

	phase phase
	label eventLabel

	answered bool
	// waiting: a temporary failure awaits the next NOTIFY.
	waiting    bool
	failed     bool // a NOTIFY has; failedCSeq is set
	terminated bool // terminatedCSeq is set
	// proven: a NOTIFY of it has got through.
	proven    bool
	signedOut signedOut

	text string
	ends [texts]uint16

	// fetch: an initial SUBSCRIBE with Expires: 0, which subscribes to nothing.
	fetch bool
	// initial: its SUBSCRIBE came by; announced: the Engine was told.
	initial, announced bool
	// endTold: the Engine was told that the watcher has unsubscribed.
	endTold bool
	// emergency: its Contact is an emergency registration.
	emergency bool
	// usedCSeq: rewatch has sent a NOTIFY in the dialog, so the server cannot go on with it.
	usedCSeq bool
	// noted: it waits for the Journal; journalled: the Journal has it.
	noted, journalled bool
	// untold counts the events of this subscription that the Engine is about to be told.
	untold uint8
	// undelivered: something is kept for it, to be delivered.
	undelivered bool
	// headKept: subShard.heads has the head of the failed NOTIFY.
	headKept bool

	node          uint32 // in the list of its user
	subscribeCSeq uint32 // of the last SUBSCRIBE
	acceptedCSeq  uint32 // of the last one that got a 2xx, at accepted
	asked         int32  // Expires of that SUBSCRIBE; -1: absent
	// openCSeq is that of the NOTIFY that was forwarded at sent and has not ended; 0: all
	// have. It is known where NOTIFYs are kept.
	openCSeq uint32
	// openKey is the lower half of its transaction, the upper one is in transaction.
	openKey uint32
	// birth orders the SUBSCRIBEs that were seen; 0 for one that was not.
	birth uint64

	accepted int64 // unix nanoseconds

	terminatedCSeq uint32 // of the NOTIFY that says terminated
	failedCSeq     uint32 // of the NOTIFY that failed, until a late 2xx
}

// used says whether the slot of a subscription is taken.
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

// textBuilder puts the texts of a subscription together. Grow it before, and they
// cost one allocation.
type textBuilder struct {
	strings.Builder
	ends [texts]uint16
	n    int
}

// end closes a text.
func (b *textBuilder) end() {
	b.ends[b.n] = uint16(b.Len()) // #nosec G115 -- the parts are bounded, maxTexts in all
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

// replace gives the texts with one of them changed.
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

// sameDialogs says whether this is a dialog of that SUBSCRIBE: all but the
// notifier tag agrees, which is different in each of the forked dialogs.
func (s *subscription) sameDialogs(id *ident.ID) bool {
	return s.callID() == string(id.CallID) && s.watcherTag() == string(id.WatcherTag) &&
		ident.EventIs(s.event(), id.Package, id.Param)
}

// over says whether the subscription has ended anyway at a time.
func (s *subscription) over(at int64) bool {
	return s.phase == ending || s.signedOut != notSignedOut || s.phase != dead && s.phase != requested && at > s.expires
}

// broken names the subscription as policy does.
func (s *subscription) broken() policy.Broken {
	b := policy.Broken{
		Event: s.event(), Resource: s.resource(), CallID: s.callID(), Tag: s.notifierTag(),
		Device: s.device(), Contact: s.contact(), Agent: s.agent(),
	}
	if s.expires != 0 { // its record lives on for 64*T1
		b.Due = time.Unix(0, max(s.until, s.expires)).UTC()
	}
	return b
}

// lasts sets the expiry to some seconds after at. The record outlives it by 64*T1,
// in which its last NOTIFY may still be under way.
func (s *subscription) lasts(at int64, seconds int, linger time.Duration) {
	s.expires = at + int64(seconds)*int64(time.Second)
	s.until = s.expires + int64(linger)
}

// assumedExpires is the length of a subscription of which none was told.
const assumedExpires = 3600

// maxSeconds bounds every delta-seconds: the 2**32-1 of RFC 3261 is for ever.
const maxSeconds = 1 << 31

// id is the ID that names this subscription.
func (s *subscription) id() ident.ID {
	id := ident.ID{CallID: []byte(s.callID()), WatcherTag: []byte(s.watcherTag()), NotifierTag: []byte(s.notifierTag())}
	e := ident.SplitEvent(s.event())
	id.Package, id.Param = e.Package, e.ID
	return id
}
