package policy

import "slices"

// joined says what a failure meant for the list of broken subscriptions.
type joined uint8

const (
	nothingNew  joined = iota // known already, or nothing to be done about it
	failedFirst               // a subscription that was not in the list, or is lost still
	failedAgain               // one that had come back
)

// find returns the broken subscription that the event is about. A new
// subscription has a fresh Call-ID, so event package and resource are the key.
func (m *machine) find() *Broken {
	i := m.index()
	if i < 0 {
		return nil
	}
	return &m.s.Broken[i]
}

func (m *machine) index() int {
	return slices.IndexFunc(m.s.Broken, func(b Broken) bool {
		return b.Event == m.e.Sub.Event && b.Resource == m.e.Sub.Resource
	})
}

// add appends a subscription as lost and not yet told. Where the list is full one
// that has come back makes room; without such a one the newcomer is only counted.
func (m *machine) add(b Broken) {
	if len(m.s.Broken) >= MaxBroken {
		i := slices.IndexFunc(m.s.Broken, func(b Broken) bool { return b.Progress != Lost })
		if i < 0 {
			m.s.More++
			return
		}
		m.s.Broken = slices.Delete(m.s.Broken, i, i+1)
	}
	b.Progress, b.Renewed, b.Told = Lost, "", false
	m.s.Broken = append(m.s.Broken, b)
}

// remove strikes the subscription of the event off the list.
func (m *machine) remove() {
	i := m.index()
	m.s.Broken = slices.Delete(m.s.Broken, i, i+1)
}

// join takes a failure into the running episode. One of the watcher's own ends the
// excuse of an outage; one that an outage caused gives it to him who was back.
func (m *machine) join() joined {
	if m.e.Pointless {
		m.giveOver()
		return nothingNew
	}
	j := m.enlist()
	if j != nothingNew {
		m.s.Hop = m.e.Hop
	}
	switch {
	case j == nothingNew:
	case !m.e.Excused:
		m.s.Excused = false
	case j == failedAgain && !m.s.Excused:
		m.s.Excused, m.s.Free = true, 0
	}
	return j
}

func (m *machine) enlist() joined {
	b := m.find()
	switch {
	case b == nil:
		m.add(m.e.Sub)
		return failedFirst
	case b.CallID == m.e.Sub.CallID:
		return nothingNew // the dialog that is known to be broken
	case b.Progress == Lost:
		// A second dialog of the same kind, perhaps of another device. What was
		// told of the first holds for it as well.
		b.CallID, b.Cause = m.e.Sub.CallID, m.e.Sub.Cause
		return failedFirst
	default:
		b.CallID, b.Cause = m.e.Sub.CallID, m.e.Sub.Cause
		b.Progress, b.Renewed, b.Told = Lost, "", false
		return failedAgain
	}
}

// giveOver drops a subscription that the watcher says he cannot use (489).
func (m *machine) giveOver() {
	if m.find() != nil {
		m.remove()
		m.settle()
	}
}

// note takes down what the event says of its subscription, and tells whether
// that changed anything.
func (m *machine) note() bool {
	b := m.find()
	if b == nil {
		return false
	}
	old := b.CallID == m.e.Sub.CallID
	back := b.Progress != Lost
	switch {
	case m.e.Kind == Subscribed && !old && b.Progress != Proven && b.Renewed != m.e.Sub.CallID:
		b.Progress, b.Renewed = Resubscribed, m.e.Sub.CallID
	case m.e.Kind == NotifyOK && b.Progress == Resubscribed && b.Renewed == m.e.Sub.CallID:
		b.Progress = Proven
	case m.e.Kind == LateOK && old && !back && (m.e.Alive || !m.s.Excused):
		m.remove() // it was not broken after all
	case m.e.Kind == Ended && old && !back:
		m.remove() // the user does not want it any more
	case m.e.Kind == Ended && back && b.Renewed == m.e.Sub.CallID:
		m.remove() // nor the new one; the end of the old one is mere tidying then
	default:
		return false
	}
	return true
}

// tally counts the broken subscriptions by how far they have come back.
type tally struct{ all, lost, toldLost, proven int }

func (m *machine) tally() tally {
	t := tally{all: len(m.s.Broken)}
	for _, b := range m.s.Broken {
		switch b.Progress {
		case Lost:
			t.lost++
			if b.Told {
				t.toldLost++
			}
		case Proven:
			t.proven++
		case Resubscribed:
		}
	}
	return t
}

// named returns the subscriptions that are lost, for a MESSAGE or an alarm.
func (m *machine) named() []Broken {
	var lost []Broken
	for _, b := range m.s.Broken {
		if b.Progress == Lost {
			lost = append(lost, b)
		}
	}
	return lost
}
