package dialogs

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
