package alarm

import "time"

// Recall makes an alarm active that an earlier process had raised, under the id
// that its receivers know. Whoever raises it again confirms it; what nobody has
// confirmed until Settle was over while no process was there to say so.
func (m *Manager) Recall(a Alarm) {
	m.Adopt(a)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recalled == nil {
		m.recalled = make(map[key]struct{})
	}
	m.recalled[key{a.Name, a.Object}] = struct{}{}
}

// Remind tells the sinks of a change that an earlier process has not told all of them.
// Those that know of it know it by its id. Whether it is active is said by others
// (Recall, Adopt): it may be over by now.
func (m *Manager) Remind(a Alarm) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell(a)
}

// Settle clears what was recalled and not raised again.
func (m *Manager) Settle() {
	m.mu.Lock()
	recalled := m.recalled
	m.recalled = nil
	m.mu.Unlock()
	for k := range recalled {
		m.Clear(k.name, k.object, time.Now())
	}
}
