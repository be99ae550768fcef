package policy

import (
	"slices"
	"strings"
)

// joined says what a failure meant for the list of broken subscriptions.
type joined uint8

const (
	nothingNew  joined = iota // it is known already, or nothing can be done about it
	failedFirst               // a subscription that was not in the list, or is still lost
	failedAgain               // one that had come back
)

// An Event id tells apart what one device has subscribed to in one dialog. A client
// that subscribes anew may choose another one, and a server may forget it. So a
// subscription that comes back is the one with the same Event if there is one, else
// any of the same device, resource and event package.

// Kin says whether two subscriptions are of the same device, resource and event package.
func (b Broken) Kin(o Broken) bool {
	return b.Resource == o.Resource && pkg(b.Event) == pkg(o.Event) && b.sameDevice(o)
}

// pkg is an Event without its parameters.
func pkg(event string) string {
	name, _, _ := strings.Cut(event, ";")
	return name
}

// meant lists the places of the broken subscriptions that the event is about.
func (m *decision) meant() []int {
	var exact, kin []int
	for i, b := range m.s.Broken {
		switch {
		case !b.Kin(m.e.Sub):
		case b.Event == m.e.Sub.Event:
			exact = append(exact, i)
		default:
			kin = append(kin, i)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return kin
}

// dialog names the dialog of a subscription.
func (b Broken) dialog() string {
	if b.Tag == "" {
		return b.CallID
	}
	return b.CallID + ";tag=" + b.Tag
}

// SameDialog says whether two subscriptions are of the same dialog, as far as their
// tags are known.
func (b Broken) SameDialog(o Broken) bool {
	return b.CallID == o.CallID && (b.Tag == o.Tag || b.Tag == "" || o.Tag == "")
}

// renewedBy says whether the dialog of o is the one that came in the place of b.
func (b Broken) renewedBy(o Broken) bool {
	return b.Renewed != "" && (b.Renewed == o.dialog() || b.Renewed == o.CallID)
}

// anew is a subscription that breaks now: it is lost, and no MESSAGE has named it.
func (b Broken) anew() Broken {
	b.Progress, b.Renewed, b.By, b.Told = Lost, "", ByUnknown, false
	return b
}

// join takes a failure into the running episode. A failure of the watcher's own ends the excuse of
// an outage; a failure that an outage caused excuses a watcher who was back.
func (m *machine) join() joined {
	if m.e.Pointless {
		m.giveOver()
		return nothingNew
	}
	j := m.enlist()
	if j != nothingNew {
		m.s.Hop = m.e.Hop
	}
	switch excused := m.e.Excused || m.e.Unproven; {
	case j == nothingNew:
	case !excused:
		m.s.Excused = false
	case j == failedAgain && !m.s.Excused:
		m.s.Excused, m.s.UnchargedSent = true, 0
	}
	return j
}

func (m *decision) enlist() joined {
	i := slices.IndexFunc(m.s.Broken, func(b Broken) bool {
		return b.Kin(m.e.Sub) && (b.Event == m.e.Sub.Event || b.renewedBy(m.e.Sub))
	})
	if i < 0 {
		m.add(m.e.Sub)
		return failedFirst
	}
	b, sub := &m.s.Broken[i], m.e.Sub.anew()
	switch {
	case b.SameDialog(sub) && !b.renewedBy(sub):
		return nothingNew // the dialog that is known to be broken
	case m.wordier(b, &sub):
		m.s.Broken = slices.Delete(m.s.Broken, i, i+1)
		m.s.More++
		return failedFirst
	case b.Progress == Lost:
		// A second dialog of the same kind. What was told of the first holds for it
		// as well.
		sub.Told, sub.Due = b.Told, latest(b.Due, sub.Due)
		*b = sub
		return failedFirst
	default:
		*b = sub
		return failedAgain
	}
}

// giveOver drops a subscription that the watcher says it cannot use (489).
func (m *machine) giveOver() {
	kept := slices.DeleteFunc(m.s.Broken, func(b Broken) bool { return b.Kin(m.e.Sub) && b.Event == m.e.Sub.Event })
	if dropped := len(kept) < len(m.s.Broken); dropped {
		m.s.Broken = kept
		m.settle()
	}
}

// note updates the broken subscriptions that the event is about, and says whether that changed
// anything.
func (m *decision) note() bool {
	changed := false
	for _, i := range slices.Backward(m.meant()) {
		b := &m.s.Broken[i]
		old, back, news := b.SameDialog(m.e.Sub), b.Progress != Lost, true
		switch {
		case m.e.Kind == Subscribed && !old && b.Progress != Proven && !b.renewedBy(m.e.Sub):
			m.returned(b, Resubscribed)
		case m.e.Kind == NotifyOK && b.Progress != Proven && m.proves(*b, old):
			m.returned(b, Proven)
		case m.e.Kind == LateOK && old && !back && (m.e.Alive || !m.s.Excused), // it was not broken after all
			m.e.Kind == Ended && old && !back,         // the user does not want it any more
			m.e.Kind == Ended && b.renewedBy(m.e.Sub): // nor the new one; the end of the old one is mere tidying then
			m.s.Broken = slices.Delete(m.s.Broken, i, i+1)
		default:
			news = false
		}
		changed = changed || news
	}
	return changed
}

// proves says whether a NOTIFY that got through proves that b is back. Any dialog of
// the device does, but that which broke (unless the server has kept it), and those
// that the same SUBSCRIBE made: it may have forked.
func (m *decision) proves(b Broken, old bool) bool {
	switch {
	case b.renewedBy(m.e.Sub):
		return true
	case old:
		return m.e.Alive && b.Progress == Lost
	default:
		return b.CallID != m.e.Sub.CallID
	}
}

// returned notes that a client has come back, and what brought it back. In an outage it is not
// remembered that the client heeds a MESSAGE, because too many clients come back.
func (m *decision) returned(b *Broken, p Progress) {
	if b.By == ByUnknown {
		b.By = m.broughtBack(*b)
	}
	if !m.s.Excused && (b.By == ByMessage || b.By == ByNotify) {
		m.learn(*b, func(d *Device) { d.Heeds = true })
	}
	b.Progress, b.Renewed = p, strings.Clone(m.e.Sub.dialog())
	if p == Proven {
		m.act(Action{Kind: Returned, Broken: []Broken{*b}, By: b.By})
	}
}

// broughtBack says what brought a client back: what the caller knows, else the MESSAGE
// if the client was told just before.
func (m *decision) broughtBack(b Broken) By {
	switch {
	case m.e.By != ByUnknown:
		return m.e.By
	case !b.Told || !m.underWay() && m.due(m.s.Messaged.Add(m.r.ResubscribeTimeout)):
		return ByItself
	case m.s.Signal != ByUnknown:
		return m.s.Signal
	default:
		return ByMessage
	}
}

// underWay says whether a MESSAGE was sent and has no outcome yet.
func (m *decision) underWay() bool { return m.s.InFlight && m.s.Transmitted }

// tally counts the broken subscriptions by how far they have come back.
type tally struct{ all, lost, toldLost, proven int }

func (m *decision) tally() tally {
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
func (m *decision) named() []Broken {
	var lost []Broken
	for _, b := range m.s.Broken {
		if b.Progress == Lost {
			lost = append(lost, b)
		}
	}
	return lost
}
