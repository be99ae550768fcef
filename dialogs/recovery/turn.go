package recovery

import (
	"context"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy"
)

// leaves says whether a request that has its turn may be sent. It asks the policy,
// which lets each leave once, and returns when the answer is safe from a crash: a
// process that is killed from then on is taken to have sent it.
//
// Should the store fail, it may be sent all the same; a de-REGISTER then finds that
// the store is away.
func (e *Engine) leaves(ctx context.Context, aor string, a policy.Action) bool {
	answer := e.takesItsTurn(aor, a)
	if answer == nil {
		return false
	}
	select {
	case may := <-answer:
		if may {
			e.makeSafe(ctx, aor)
		}
		return may
	case <-ctx.Done():
		return false
	}
}

// takesItsTurn decides on the turn of a request. The answer comes when that is
// saved; nil is no.
func (e *Engine) takesItsTurn(aor string, a policy.Action) <-chan bool {
	sh := e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[aor]
	if u == nil {
		return nil
	}
	before := len(u.changes)
	e.decide(sh, u, policy.Event{Kind: policy.Turn, At: time.Now(), Episode: a.Episode, Try: a.Try})
	if len(u.changes) == before {
		return nil
	}
	answer := make(chan bool, 1)
	u.changes[before].turn = answer
	return answer
}

// makeSafe waits until what was saved is safe.
func (e *Engine) makeSafe(ctx context.Context, aor string) {
	behind, ok := e.store.(store.Behind)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := behind.Sync(ctx, aor); err != nil && e.storeFailed(aor, err) {
		e.nothingWaits.Store(true)
	}
}

// WhenSafe calls then when what was decided about a user so far is kept, which may be
// at once. Where the store takes nothing nobody waits for it.
func (e *Engine) WhenSafe(aor string, then func()) {
	sh := e.shard(aor)
	sh.mu.Lock()
	u := sh.users[aor]
	_, noted := sh.lostNotes[aor]
	switch {
	case u != nil && (u.dirty || u.saving):
		u.waiters = append(u.waiters, then)
	case noted:
		sh.waiters = append(sh.waiters, then)
	default:
		defer then()
	}
	sh.mu.Unlock()
}

// letGo lets those go on who wait for a user that the writer is done with, and those who
// came meanwhile unless there is more to be saved.
func (sh *engineShard) letGo(u *engineUser, waiters []func()) {
	sh.mu.Lock()
	if !u.dirty {
		waiters = append(waiters, u.waiters...)
		u.waiters = nil
	}
	sh.mu.Unlock()
	for _, then := range waiters {
		then()
	}
}

// takeWaiters takes those who wait until what is noted of the shard is written.
func (sh *engineShard) takeWaiters() []func() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	waiters := sh.waiters
	sh.waiters = nil
	return waiters
}

// Pending is how many users there are whose state is not in the store yet.
func (e *Engine) Pending() (n int) {
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for _, u := range sh.users {
			if u.dirty || u.saving || u.unsaved {
				n++
			}
		}
		sh.mu.Unlock()
	}
	return n
}
