package monitor

import "strings"

// Numbers alone bound no memory where a peer chooses how long its names are. So
// the texts of all subscriptions and registrations have a bound together as well;
// a common one is a third of what each may have on average.
const (
	textsEach  = 512 // bytes, for each of MaxSubscriptions
	leastTexts = 1 << 20
	// leastPending is how many SUBSCRIBEs may wait for their answer in any case.
	leastPending = 1024
)

// wordy tells whether there is no room for so many bytes of text more.
func (t *Table) wordy(more int) bool {
	return t.texts.Load()+int64(more) > max(leastTexts, textsEach*int64(t.cfg.MaxSubscriptions))
}

// rewrite changes one of the texts of a subscription that has its place.
func (t *Table) rewrite(s *subscription, i int, with []byte) {
	before := len(s.text)
	s.replace(i, with)
	t.texts.Add(int64(len(s.text) - before))
}

// own gives a part of the text of s that is to outlive it. A short text may as well
// live on as a whole, a long one must not be kept by a short part.
func (s *subscription) own(part string) string {
	if len(s.text) > textsEach {
		return strings.Clone(part)
	}
	return part
}

// unconfirmed tells whether too many SUBSCRIBEs have neither been answered nor led
// to a NOTIFY. They may have a quarter of the room, so that a flood of them leaves
// the rest to subscriptions that exist: such a one is taken up with its first
// NOTIFY.
func (t *Table) unconfirmed() bool {
	return t.pending.Load() >= max(leastPending, int64(t.cfg.MaxSubscriptions)/4)
}

// begins and leaves count a subscription by its phase.
func (t *Table) begins(s *subscription) { t.count(s, 1) }

func (t *Table) leaves(s *subscription) { t.count(s, -1) }

func (t *Table) count(s *subscription, n int64) {
	switch s.phase {
	case requested:
		t.pending.Add(n)
	case active:
		t.live.Add(n)
		t.agents.Change(s.agent(), func(live *int64) { *live += n })
	case ending, dead:
	}
}

// has is how many subscriptions of a watcher are known.
func (t *Table) has(watcher string) int {
	hash := t.hashAOR(watcher)
	us := t.userShard(hash)
	us.mu.Lock()
	defer us.mu.Unlock()
	if slot := us.find(hash, watcher); slot != 0 {
		return int(us.users.At(slot).subscriptions)
	}
	return 0
}
