package recovery

import (
	"unsafe"

	"rewatch/dialogs/recovery/holddown"
	"rewatch/dialogs/recovery/ladder"
	"rewatch/policy"
)

// A bound on the number of users does not bound the memory, because peers choose how many
// subscriptions of a user can break and how long their names are. So all states together
// have a bound in bytes as well. The second half of it is for users who take little, so that
// those who take much cannot keep them out.

const (
	// BytesEach is the memory for each user, in bytes, if every user had a state.
	BytesEach = 1 << 10
	// LeastBytes is the memory for all states together in any case, in bytes.
	LeastBytes = 16 << 20
	// modest is how many bytes a user may take to be let into the second half.
	modest = 8 << 10
	// copies is in how many places the list of broken subscriptions is: in the state, in the
	// store, and in a request that waits or an alarm. Their texts are shared.
	copies = 3
	// eachUser and eachLost are the bytes that a user takes beside its state: in maps, in the
	// heap of deadlines, on its way to the store, with a request that waits for its turn.
	eachUser = 2*unsafe.Sizeof(engineUser{}) + 512
	eachLost = unsafe.Sizeof(lostWatcher{}) + 128
)

// room says how much more an Engine may remember.
type room struct{ e *Engine }

// weigh counts the memory that a user takes now. The shard is locked.
func (r *room) weigh(u *engineUser) {
	now := int(eachUser) + 2*len(u.aor) + u.state.Size() + (copies-1)*cap(u.state.Broken)*int(unsafe.Sizeof(policy.Broken{}))
	r.e.bytes.Add(int64(now - u.size))
	u.size = now
}

// weigh counts the memory of the subscriptions that a user lost. The shard is locked.
func (l *lostWatcher) weigh(e *Engine, aor string) {
	now := int(eachLost) + len(aor) + len(l.hop) + policy.SizeOf(l.subs)
	e.bytes.Add(int64(now - l.size))
	l.size = now
}

// lacks says whether there is no room for a failure; u is nil if its user is not known yet.
func (r *room) lacks(u *engineUser) bool {
	if u == nil && r.e.known.Load() >= int64(r.e.cfg.MaxUsers) {
		return true
	}
	return r.crowded(u != nil && u.size > modest)
}

// crowded says whether there is no room for a user who takes much, or little.
func (r *room) crowded(much bool) bool {
	used := r.e.bytes.Load()
	return used >= r.e.cfg.MaxBytes || r.e.Tight.Load() || much && used >= r.e.cfg.MaxBytes/2
}

// Usage is the memory of the states of all users, and of the subscriptions that an outage
// broke, in bytes.
func (e *Engine) Usage() int64 { return e.bytes.Load() }

// Budget is the memory that an Engine takes at most, in bytes, beside Config.MaxBytes for
// its users.
func Budget(cfg Config) int64 {
	cfg = cfg.withDefaults()
	running := 0
	for _, rate := range []float64{cfg.MessageRate, cfg.DeregisterRate} {
		if most := rate * longestRequest.Seconds(); rate > 0 && most < float64(cfg.Concurrency) {
			running += int(most)
		} else {
			running += cfg.Concurrency
		}
	}
	return ladder.MaxBytes + holddown.Budget + int64(running)*eachRequest + maxChanged*eachChanged
}

// longestRequest is how long a request of rewatch's own may await its outcome, with a
// challenge and the next address.
const longestRequest = 2 * policy.TimerF

const (
	// eachRequest is what a request of rewatch's own takes until its outcome: a goroutine,
	// the message and its transaction.
	eachRequest = 16 << 10
	// eachChanged is a user that another replica has changed.
	eachChanged = 128
)
