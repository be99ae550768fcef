package hold

import (
	"encoding/json"
	"net/netip"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy/alarm"
	"rewatch/policy/outage"
)

// byHand is the hold of an operator: all users wait, whatever gets through. It outlives a
// restart.
type byHand struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"` // zero: there is none
}

func (b byHand) on() bool { return !b.At.IsZero() }

// handKey is the key of the hold by hand in the Journal, handObject the object of its alarm.
const (
	handKey    = "by hand"
	handObject = "rewatch"
)

// Held is a hold, as the API shows it.
type Held struct {
	outage.Record
	// Waiting is how many users wait for its end.
	Waiting int `json:"waiting"`
	// ByHand: an operator holds all users; Hop is empty then.
	ByHand bool `json:"by_hand,omitempty"`
}

// ByHand stops every MESSAGE, strike and sign-out until EndByHand. Requests that were sent go
// on; no other begins. A second call changes the reason.
func (h *Hold) ByHand(reason string) {
	h.mu.Lock()
	if !h.hand.on() {
		h.hand.At = time.Now().UTC()
	}
	h.hand.Reason = reason
	hand := h.hand
	h.notes[handKey] = struct{}{}
	h.open.Store(true)
	h.mu.Unlock()
	h.log.Warn().Str("reason", reason).Msg("recovery is held by hand")
	h.raiseByHand(hand)
}

func (h *Hold) raiseByHand(hand byHand) {
	h.alarms.Raise(alarm.Of(alarm.HeldByHand, handObject, "An operator has stopped all recovery: "+hand.Reason, hand.At))
}

// EndByHand ends the hold by hand: recovery goes on where it was. A wait that the hold has
// interrupted begins anew. It is false if there was no hold by hand.
func (h *Hold) EndByHand() bool {
	h.mu.Lock()
	on := h.hand.on()
	if on {
		h.hand = byHand{}
		h.notes[handKey] = struct{}{}
		h.open.Store(h.paths.Any())
	}
	h.mu.Unlock()
	if !on {
		return false
	}
	h.log.Warn().Msg("hold by hand has ended: recovery goes on")
	h.alarms.Clear(alarm.HeldByHand, handObject, time.Now())
	h.users.HandEnded()
	h.Release()
	return true
}

// EndHop ends the hold of one next hop, named as in Holds. It is false if the hop is not held.
func (h *Hold) EndHop(hop string) bool {
	if hop == overall {
		hop = ""
	} else if addr, err := netip.ParseAddrPort(hop); err == nil {
		hop = Name(addr)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	notices := h.paths.End(time.Now(), hop)
	h.take(outage.Proven, notices)
	return len(notices) > 0
}

// Holds lists what is held: the hold by hand first, then the others in the order in which they
// began.
func (h *Hold) Holds() []Held {
	if !h.Any() {
		return nil
	}
	waiting, all := h.users.Waiting(), []Held{}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hand.on() {
		everybody := 0
		for _, n := range waiting {
			everybody += n
		}
		all = append(all, Held{
			Record: outage.Record{Reason: outage.Reason(h.hand.Reason), At: h.hand.At, Since: h.hand.At}, Waiting: everybody, ByHand: true,
		})
	}
	for _, r := range h.paths.Holds() {
		n := waiting[r.Hop]
		r.Hop = ObjectOf(r.Hop)
		all = append(all, Held{Record: r, Waiting: n})
	}
	return all
}

// RaiseAgain raises the alarms of everything that is held: after a restart, and after a dry
// run, in which no alarm was raised.
func (h *Hold) RaiseAgain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.told {
		h.alarms.Raise(alarm.Of(alarm.CoreOutage, ObjectOf(r.Hop), outageText(r), r.At))
	}
	if h.hand.on() {
		h.raiseByHand(h.hand)
	}
}

// Collect makes the entries of what is held.
func (h *Hold) Collect(batch []store.Entry) []store.Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	for hop := range h.notes {
		entry := store.Entry{Kind: store.KindOutage, Key: hop}
		switch r, held := h.told[hop]; {
		case hop == handKey && h.hand.on():
			entry = entry.With(h.hand, time.Time{})
		case hop == handKey:
		case held:
			entry = store.Entry{Kind: store.KindOutage, Key: ObjectOf(hop)}.With(r, time.Time{})
		default:
			entry.Key = ObjectOf(hop)
		}
		batch = append(batch, entry)
	}
	clear(h.notes)
	return batch
}

// Restore takes up a hold that an earlier process has left; false if the entry is none. A hold
// of all hops together, as earlier versions had it, is refused: their users are judged anew.
func (h *Hold) Restore(entry store.Entry, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if entry.Key == handKey {
		var hand byHand
		if json.Unmarshal(entry.Value, &hand) != nil || !hand.on() {
			return false
		}
		h.hand = hand
		h.open.Store(true)
		return true
	}
	var r outage.Record
	if json.Unmarshal(entry.Value, &r) != nil || ObjectOf(r.Hop) != entry.Key || !h.paths.Restore(r, now) {
		return false
	}
	h.told[r.Hop] = r
	h.open.Store(true)
	return true
}

// Unwritten is how many records wait for the Journal.
func (h *Hold) Unwritten() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.notes)
}
