package recovery

import (
	"context"
	"time"

	"rewatch/policy"
)

// turns decide which request of an Engine may be sent.
type turns struct{ e *Engine }

// mayTransmit says whether a request may be sent now. The policy lets each request be sent
// once, and records that it is about to be sent. mayTransmit returns when that record is
// persisted: if the process is killed after that, the next one assumes that the request was
// sent.
//
// If the store fails, the request may be sent all the same; a de-REGISTER is dropped then,
// because the store is away.
func (q *turns) mayTransmit(ctx context.Context, aor string, a policy.Action) bool {
	answer := q.askForTurn(aor, a)
	if answer == nil {
		return false
	}
	select {
	case may := <-answer:
		if may {
			q.persist(ctx, aor)
		}
		return may
	case <-ctx.Done():
		return false
	}
}

// askForTurn has the policy decide whether a request may be sent. The answer comes when the
// decision is saved; nil is no.
func (q *turns) askForTurn(aor string, a policy.Action) (answer chan bool) {
	q.e.with(aor, func(sh *engineShard, u *engineUser) {
		before := len(u.changes)
		q.e.decide(sh, u, policy.Event{Kind: policy.Turn, At: time.Now(), Episode: a.Episode, Try: a.Try})
		if len(u.changes) > before {
			answer = make(chan bool, 1)
			u.changes[before].turn = answer
		}
	})
	return answer
}

// persist waits until the saved state of a user is on the disk.
func (q *turns) persist(ctx context.Context, aor string) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := q.e.store.Sync(ctx, aor); err != nil && q.e.alarms.storeFailed(err) {
		q.e.alarms.nothingWaits.Store(true)
	}
}

// barrier is reached when the writer of a shard has finished the users that were handed to it
// before.
type barrier struct {
	number  uint64 // of the last of them
	reached chan struct{}
}

// Settle implements store.Source: it returns when all decisions so far are saved, or the store
// has refused them. So the Journal never has an entry of a subscription before the state of its
// user is saved.
func (s *engineSource) Settle(ctx context.Context) {
	var all []chan struct{}
	for i := range s.e.shards {
		if b := s.e.shards[i].barrier(); b != nil {
			all = append(all, b)
		}
	}
	for _, reached := range all {
		select {
		case <-reached:
		case <-ctx.Done():
			return
		}
	}
}

// barrier returns a channel that is closed when the writer has finished the users that wait for
// it now; nil: none waits.
func (sh *engineShard) barrier() chan struct{} {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.done == sh.queued {
		return nil
	}
	reached := make(chan struct{})
	sh.barriers = append(sh.barriers, barrier{sh.queued, reached})
	return reached
}

// finished notes that the writer has finished one more user.
func (sh *engineShard) finished() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.done++
	for len(sh.barriers) > 0 && sh.barriers[0].number <= sh.done {
		close(sh.barriers[0].reached)
		sh.barriers = sh.barriers[1:]
	}
}

// Pending is the number of users whose state is not in the store yet.
func (e *Engine) Pending() (n int) {
	for sh := range e.each {
		for _, u := range sh.users {
			if u.dirty || u.saving || u.unsaved {
				n++
			}
		}
	}
	return n
}
