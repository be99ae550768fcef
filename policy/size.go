package policy

import (
	"slices"
	"strings"
	"unsafe"
)

// MaxBrokenText bounds the texts of State.Broken, in bytes, so that a user whose names are
// long costs no more than one with many subscriptions. What does not fit is only counted in
// State.More.
const MaxBrokenText = 64 << 10

// Text is the length of the texts of a subscription, in bytes.
func (b *Broken) Text() int {
	return len(b.Event) + len(b.Resource) + len(b.CallID) + len(b.Tag) + len(b.Cause) + len(b.Device) +
		len(b.Contact) + len(b.Agent) + len(b.Renewed)
}

// Clone copies a subscription with its texts, which may be parts of something longer that is
// not to live as long. The texts are one string.
func (b Broken) Clone() Broken {
	texts := [...]*string{&b.Event, &b.Resource, &b.CallID, &b.Tag, &b.Cause, &b.Device, &b.Contact, &b.Agent, &b.Renewed}
	var all strings.Builder
	all.Grow(b.Text())
	for _, text := range texts {
		_, _ = all.WriteString(*text)
	}
	rest := all.String()
	for _, text := range texts {
		n := len(*text)
		*text, rest = rest[:n], rest[n:]
	}
	return b
}

// SizeOf is the memory that a list of subscriptions takes, in bytes.
func SizeOf(list []Broken) int {
	return cap(list)*int(unsafe.Sizeof(Broken{})) + textOf(list)
}

// Size is the memory that a state takes beside its own fields, in bytes.
func (s *State) Size() int {
	n := SizeOf(s.Broken) + cap(s.Strikes)*int(unsafe.Sizeof(s.Started)) + len(s.Hop)
	for _, list := range [][]Device{s.Devices, s.Gone} {
		n += cap(list) * int(unsafe.Sizeof(Device{}))
		for i := range list {
			n += len(list[i].ID) + len(list[i].Contact)
		}
	}
	return n
}

// textOf is the length of the texts of a list, in bytes.
func textOf(list []Broken) (n int) {
	for i := range list {
		n += list[i].Text()
	}
	return n
}

// full says whether there is no room for one more broken subscription.
func (m *decision) full(b *Broken) bool {
	return len(m.s.Broken) >= MaxBroken || textOf(m.s.Broken)+b.Text() > MaxBrokenText
}

// wordier says whether a subscription has no room in the place of an earlier one.
func (m *decision) wordier(old, b *Broken) bool {
	return b.Text() > old.Text() && textOf(m.s.Broken)-old.Text()+b.Text() > MaxBrokenText
}

// add appends a subscription as lost and not yet told. Where the list is full those that
// have come back make room; without such a one the newcomer is only counted.
func (m *decision) add(b Broken) {
	for m.full(&b) {
		i := slices.IndexFunc(m.s.Broken, func(b Broken) bool { return b.Progress != Lost })
		if i < 0 {
			m.s.More++
			return
		}
		m.s.Broken = slices.Delete(m.s.Broken, i, i+1)
	}
	m.s.Broken = append(m.s.Broken, b.anew())
}
