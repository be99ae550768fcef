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
func (m *Monitor) wordy(more int) bool {
	return m.texts.Load()+int64(more) > max(leastTexts, textsEach*int64(m.cfg.MaxSubscriptions))
}

// rewrite changes one of the texts of a subscription that has its place.
func (m *Monitor) rewrite(s *subscription, i int, with []byte) {
	before := len(s.text)
	s.replace(i, with)
	m.texts.Add(int64(len(s.text) - before))
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
func (m *Monitor) unconfirmed() bool {
	return m.pending.Load() >= max(leastPending, int64(m.cfg.MaxSubscriptions)/4)
}

// begins and leaves count a subscription by its phase.
func (m *Monitor) begins(s *subscription) { m.count(s, 1) }

func (m *Monitor) leaves(s *subscription) { m.count(s, -1) }

func (m *Monitor) count(s *subscription, n int64) {
	switch s.phase {
	case requested:
		m.pending.Add(n)
	case active:
		m.live.Add(n)
	case ending, dead:
	}
}
