package monitor

import (
	"math"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/redelivery"
)

// Waits says whether a sign of life of some device is awaited.
func (m *Monitor) Waits() bool { return m.rules.redelivers() && m.cfg.Post.Some() }

// Heard is told of a request of a user that the Monitor has no other use for, while it
// Waits: the device is alive.
func (m *Monitor) Heard(msg *dialogs.Message) {
	if user, ok := m.watcherOf(msg); ok {
		m.parcels.signOfLife(user, msg)
	}
}

// signOfLife tells the Post that the device that sent a request is there.
func (p *parcels) signOfLife(user string, msg *dialogs.Message) {
	if p.rules.redelivers() {
		p.aliveDevice(user, senderKey(msg), msg)
	}
}

// aliveDevice is one of a device; empty: of all of the user's. What has been open for a
// while is kept, so that it can be sent anew: its next retransmission may be seconds away.
func (p *parcels) aliveDevice(user, device string, msg *dialogs.Message) {
	at := instant(msg.At)
	for _, transaction := range p.overdue(user, device, msg.CallID, at) {
		p.cfg.Overdue(transaction)
	}
	p.cfg.Post.Alive(at, user, device)
}

// overdue gives the transactions of the NOTIFYs that have been open for a while, of a
// device or with a Call-ID.
func (p *parcels) overdue(user, device string, callID []byte, at time.Time) (transactions []uint64) {
	if p.cfg.Overdue == nil {
		return nil
	}
	_, refs, _ := p.user(user, math.MaxInt)
	for _, ref := range refs {
		sh := &p.subs[shardOf(ref)]
		sh.mu.Lock()
		s, _ := sh.lookup(ref)
		if s != nil && !p.opened(s, at).IsZero() && at.UnixNano()-s.sent >= int64(redelivery.Stale) &&
			(device == "" || device == s.deviceKey() || string(callID) == s.callID()) {
			transactions = append(transactions, s.openTransaction())
		}
		sh.mu.Unlock()
	}
	return transactions
}

// senderKey is the deviceKey of who sent a request; empty: it names no Contact, or
// several.
func senderKey(msg *dialogs.Message) string {
	if len(msg.Contacts) != 1 {
		return ""
	}
	c := &msg.Contacts[0]
	return deviceKey(string(ident.Device(c)), string(c.URI))
}
