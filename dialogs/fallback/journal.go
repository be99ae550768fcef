package fallback

import (
	"context"
	"encoding/json"
	"time"

	"rewatch/dialogs/store"
)

// notes are the users whose entry in the Journal has to be written or removed.
type notes struct {
	noting bool // there is a Keeper
	// users have with them what the note uses, in bytes, if the REGISTER was removed: while the
	// Journal is away there may be many of them. gone is the sum of that.
	users map[string]int
	gone  int
}

// maxGone bounds the notes of removed REGISTERs, in bytes, and perNote is what one takes beside its
// text. Any further entry stays in the Journal until it expires.
const (
	maxGone = 8 << 20
	perNote = 100
)

// value is the value of a KindRegister.
type value struct {
	Raw    []byte    `json:"raw"`
	At     time.Time `json:"at"`
	Number uint64    `json:"number"`
}

// note notes that the REGISTER of a user has changed or was removed; the lock is held.
func (q *Queue) note(user string) {
	if !q.notes.noting {
		return
	}
	if q.notes.users == nil {
		q.notes.users = map[string]int{}
	}
	use := 0
	if q.users[user] == nil {
		use = len(user) + perNote
	}
	gone := q.notes.gone - q.notes.users[user]
	if use > 0 && gone+use > maxGone {
		q.notes.gone = gone
		delete(q.notes.users, user)
		return
	}
	q.notes.users[user], q.notes.gone = use, gone+use
}

// Attach implements store.Source.
func (q *Queue) Attach(*store.Keeper) { q.notes.noting = true }

// Kinds implements store.Source.
func (q *Queue) Kinds() []store.Kind { return []store.Kind{store.KindRegister} }

// Restore implements store.Source.
func (q *Queue) Restore(e store.Entry, now time.Time) bool {
	var v value
	if json.Unmarshal(e.Value, &v) != nil || e.Key == "" || len(v.Raw) == 0 || !now.Before(e.Until) {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	r := &register{user: e.Key, raw: v.Raw, at: v.At, until: e.Until, number: v.Number}
	if q.users[r.user] != nil || q.bytes+r.size() > q.maxBytes {
		return false
	}
	q.number = max(q.number, v.Number)
	q.enter(r)
	q.place(r)
	return true
}

// Collect implements store.Source.
func (q *Queue) Collect(room int) (batch []store.Entry, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for user := range q.notes.users {
		if len(batch) >= room {
			return batch, true
		}
		e := store.Entry{Kind: store.KindRegister, Key: user}
		if r := q.users[user]; r != nil {
			e = e.With(value{Raw: r.raw, At: r.at, Number: r.number}, r.until)
		}
		batch = append(batch, e)
		q.notes.gone -= q.notes.users[user]
		delete(q.notes.users, user)
	}
	return batch, false
}

// Settle implements store.Source: nothing has to be known before the write.
func (q *Queue) Settle(context.Context) {}

// Unwritten implements store.Source.
func (q *Queue) Unwritten() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.notes.users)
}
