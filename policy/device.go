package policy

import (
	"slices"
	"strings"
	"time"
)

// A user has devices. What broke, comes back and is signed out is a device's; the
// count, the ban and the alarm are the user's.

// sameDevice says whether two subscriptions are of the same device. A Contact tells
// devices apart only where one of the two has no identity: two phones may share an
// address behind a border element. Where nothing is known the user gets the benefit
// of the doubt.
func (b Broken) sameDevice(o Broken) bool {
	switch {
	case b.Device != "" && o.Device != "":
		return b.Device == o.Device
	case b.Contact != "" && o.Contact != "":
		return b.Contact == o.Contact || place(b.Contact) == place(o.Contact)
	default:
		return true
	}
}

// place is the part of a Contact that devices are told apart by: user part, host and port.
func place(uri string) string {
	if scheme, rest, ok := strings.Cut(uri, ":"); ok && (strings.EqualFold(scheme, "sip") || strings.EqualFold(scheme, "sips")) {
		uri = rest
	}
	user, host, ok := strings.Cut(uri, "@")
	if !ok {
		user, host = "", uri
	}
	if i := strings.IndexAny(host, ";?"); i >= 0 {
		host = host[:i]
	}
	return user + "@" + strings.TrimSuffix(strings.ToLower(host), ":5060")
}

// device is the device of a subscription.
func (b Broken) device() Device { return Device{ID: b.Device, Contact: b.Contact} }

// At says whether a device is known to be at a Contact.
func (d Device) At(contact string) bool {
	return d.Contact != "" && (d.Contact == contact || place(d.Contact) == place(contact))
}

func (d Device) has(b Broken) bool { return Broken{Device: d.ID, Contact: d.Contact}.sameDevice(b) }

// known returns what is remembered of the device of b.
func (m *decision) known(b Broken) Device {
	if i := slices.IndexFunc(m.s.Devices, func(d Device) bool { return d.has(b) }); i >= 0 {
		return m.s.Devices[i]
	}
	return b.device()
}

// learn changes what is remembered of the device of b.
func (m *decision) learn(b Broken, change func(*Device)) {
	d := m.known(b)
	change(&d)
	all := slices.DeleteFunc(slices.Clone(m.s.Devices), func(d Device) bool { return d.has(b) })
	if len(all) >= maxDevices {
		all = all[len(all)-maxDevices+1:]
	}
	m.s.Devices = append(all, d)
}

// untold is what is remembered of the devices when a new count begins: those that heed a MESSAGE.
func untold(devices []Device) []Device {
	var all []Device
	for _, d := range devices {
		if d.Told = false; d.Heeds {
			all = append(all, d)
		}
	}
	return all
}

// doomed returns the lost subscriptions of the devices that may be given up: they
// were told, did not come back, and have had their own refresh due (unless they are
// known to heed a MESSAGE). next is when the next device may be; zero: none.
func (m *decision) doomed() (lost []Broken, next time.Time) {
	for _, b := range m.s.Broken {
		if b.Progress != Lost || !b.Told && !m.known(b).Told {
			continue
		}
		if ripe := m.ripe(b); ripe.IsZero() || m.due(ripe) {
			lost = append(lost, b)
		} else {
			next = earliest(next, ripe)
		}
	}
	return lost, next
}

// ripe is until when the device of b may come back by itself: until all its lost subscriptions were
// due to be refreshed. Zero: that is not awaited.
func (m *decision) ripe(b Broken) time.Time {
	if m.r.Patience == PatienceNone || m.known(b).Heeds {
		return time.Time{}
	}
	return m.refreshed(func(o Broken) bool { return o.sameDevice(b) })
}

// refreshed is when the last of some lost subscriptions was due to be refreshed.
func (m *decision) refreshed(of func(Broken) bool) time.Time {
	var last time.Time
	for _, b := range m.s.Broken {
		if b.Progress == Lost && of(b) {
			last = latest(last, b.Due)
		}
	}
	return last
}

// devices lists the devices of some subscriptions, each once.
func devices(of []Broken) []Device {
	var all []Device
	for _, b := range of {
		if !slices.ContainsFunc(all, func(d Device) bool { return d == b.device() }) {
			all = append(all, b.device())
		}
	}
	return all
}
