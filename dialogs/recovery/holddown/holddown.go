// Package holddown spares users who flap: they are signed out, register again at once, and are
// given up again, as a phone does that registers but cannot take a NOTIFY. To sign such a user
// out each time helps nobody and costs the core a registration each time, so each further
// sign-out waits for longer.
package holddown

import (
	"container/list"
	"context"
	"encoding/json"
	"sync"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs/store"
)

const (
	// window is how soon after a sign-out a user has to be given up again to flap.
	window = time.Hour
	// longest bounds the wait, which doubles each time.
	longest = 4 * time.Hour
	// Budget bounds the memory of the users that are remembered, in bytes; some 45,000 users.
	Budget = 16 << 20
	// lookupTime bounds a look-up of what other replicas know of a user.
	lookupTime = time.Second
)

// flap is what is remembered of a user who was signed out lately.
type flap struct {
	Last  time.Time `json:"last"`
	Times int       `json:"times"` // in a row
	// Until is when the user may be signed out, who was given up again in this episode.
	Until   time.Time `json:"until,omitzero"`
	Episode uint64    `json:"episode,omitempty"`
}

// over is when the flap is forgotten.
func (f flap) over() time.Time { return f.Last.Add(window + longest) }

// Users remembers the users who were signed out lately. Its methods may be called from any
// goroutine.
type Users struct {
	first     time.Duration // doubles each time
	forgotten prometheus.Counter

	// noting: a Keeper writes the users in notes to the Journal. journal is nil unless other
	// replicas write to it.
	noting  bool
	journal store.Journal

	mu    sync.Mutex
	users map[string]*list.Element
	// order has a *user for each of them, the one who was signed out first at the front, which
	// is the first to be forgotten. The users of an earlier process are in any order among
	// themselves, so some of them are kept for longer.
	order list.List
	bytes int
	notes map[string]struct{} // the users that wait for the Journal
}

// user is one user in the list.
type user struct {
	aor string
	flap
}

// size is what a user takes, in bytes, with its places in list, map and notes.
func (u *user) size() int {
	return int(unsafe.Sizeof(*u)+unsafe.Sizeof(list.Element{})) + 160 + len(u.aor)
}

// get is the flap of a user; fs is locked.
func (fs *Users) get(aor string) flap {
	if at := fs.users[aor]; at != nil {
		return at.Value.(*user).flap
	}
	return flap{}
}

// New makes Users. first is how long the first sign-out of a user who flaps waits; forgotten counts
// the users for whom there was no room.
func New(first time.Duration, forgotten prometheus.Counter) *Users {
	return &Users{first: first, forgotten: forgotten, users: make(map[string]*list.Element), notes: make(map[string]struct{})}
}

// Attach says that a Keeper collects the users for the Journal. journal is nil unless other replicas
// write to it.
func (fs *Users) Attach(journal store.Journal) { fs.noting, fs.journal = true, journal }

// SignedOut notes that a user was signed out.
func (fs *Users) SignedOut(aor string, now time.Time) {
	f := fs.of(aor)
	if now.Sub(f.Last) > window+fs.doubled(f.Times) {
		f.Times = 0
	}
	fs.set(aor, flap{Last: now, Times: f.Times + 1}, now)
}

// of tells when a user was last signed out, here or by another replica.
func (fs *Users) of(aor string) flap {
	fs.mu.Lock()
	f := fs.get(aor)
	fs.mu.Unlock()
	if fs.journal != nil {
		if other := fs.lookUp(aor); other.Last.After(f.Last) {
			return other
		}
	}
	return f
}

func (fs *Users) set(aor string, f flap, now time.Time) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if !fs.put(aor, f, now) {
		fs.forgotten.Inc()
		return
	}
	if fs.noting {
		fs.notes[aor] = struct{}{}
	}
}

// put enters the flap of a user, and says whether there was room; fs is locked.
func (fs *Users) put(aor string, f flap, now time.Time) bool {
	if at := fs.users[aor]; at != nil {
		if old := at.Value.(*user); f.Last.After(old.Last) {
			fs.order.MoveToBack(at)
		}
		at.Value.(*user).flap = f
		return true
	}
	u := &user{aor, f}
	fs.forget(now)
	if fs.bytes+u.size() > Budget {
		return false
	}
	fs.bytes += u.size()
	fs.users[aor] = fs.order.PushBack(u)
	return true
}

// forget drops the first two users if they are over; fs is locked. Two may go for each that comes,
// so that those that are over become fewer.
func (fs *Users) forget(now time.Time) {
	for range 2 {
		at := fs.order.Front()
		if at == nil || !now.After(at.Value.(*user).over()) {
			return
		}
		gone := fs.order.Remove(at).(*user)
		delete(fs.users, gone.aor)
		delete(fs.notes, gone.aor)
		fs.bytes -= gone.size()
	}
}

// Wait is how long the sign-out of a user who flaps has to wait; try numbers the tries in an episode,
// of which only the first one waits. A restart does not make the wait longer. times is how often in
// a row the user was signed out, if the wait begins now, else 0.
func (fs *Users) Wait(aor string, episode uint64, try int, now time.Time) (wait time.Duration, times int) {
	f := fs.of(aor)
	switch {
	case try > 1:
		return 0, 0
	case !f.Until.IsZero() && f.Episode == episode:
		return f.Until.Sub(now), 0
	case now.Sub(f.Last) > window:
		return 0, 0
	}
	wait = fs.doubled(f.Times)
	f.Until, f.Episode = now.Add(wait), episode
	fs.set(aor, f, now)
	return wait, f.Times
}

// doubled is the hold-down after so many sign-outs in a row.
func (fs *Users) doubled(times int) time.Duration {
	if times == 0 {
		return 0
	}
	wait := fs.first
	for ; times > 1 && wait < longest; times-- {
		wait *= 2
	}
	return min(wait, longest)
}

// lookUp reads what the replicas have written of a user; nothing if the Journal cannot be read.
func (fs *Users) lookUp(aor string) flap {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	entry, ok, err := fs.journal.Read(ctx, store.KindFlap, aor)
	if err != nil || !ok {
		return flap{}
	}
	f, _ := readFlap(entry)
	return f
}

func readFlap(entry store.Entry) (f flap, ok bool) {
	return f, json.Unmarshal(entry.Value, &f) == nil && f.Times > 0
}

// Restore takes up what an earlier process has kept of a user; false if the entry is of no use.
func (fs *Users) Restore(entry store.Entry, now time.Time) bool {
	f, ok := readFlap(entry)
	if !ok || now.After(f.over()) {
		return false
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.put(entry.Key, f, now)
}

// Collect makes the entries of the users that wait for the Journal.
func (fs *Users) Collect(batch []store.Entry) []store.Entry {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for aor := range fs.notes {
		f := fs.get(aor)
		batch = append(batch, store.Entry{Kind: store.KindFlap, Key: aor}.With(f, f.over()))
	}
	clear(fs.notes)
	return batch
}

// Unwritten is the number of users that wait for the Journal.
func (fs *Users) Unwritten() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return len(fs.notes)
}
