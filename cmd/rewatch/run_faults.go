package main

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"rewatch/policy/alarm"
)

// routingFaults turns responses that say that the path is broken (482, 483, 502)
// into one alarm per next hop, which clears when there was none for a while.
type routingFaults struct {
	alarms *alarm.Manager
	mu     sync.Mutex
	timers map[netip.AddrPort]*time.Timer
}

// faultQuiet is how long a next hop has to be without a fault.
const faultQuiet = 15 * time.Minute

func newRoutingFaults(m *alarm.Manager) *routingFaults {
	return &routingFaults{alarms: m, timers: map[netip.AddrPort]*time.Timer{}}
}

func (f *routingFaults) saw(hop netip.AddrPort, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.timers[hop]; t != nil {
		t.Reset(faultQuiet)
		return
	}
	f.timers[hop] = time.AfterFunc(faultQuiet, func() { f.over(hop) })
	f.alarms.Raise(alarm.Alarm{
		Name: alarm.RoutingFault, Object: hop.String(),
		Text: fmt.Sprintf("A NOTIFY was answered with %d: the path is broken, not the user.", status),
	})
}

func (f *routingFaults) over(hop netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.timers, hop)
	f.alarms.Clear(alarm.RoutingFault, hop.String(), time.Now())
}

func (f *routingFaults) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.timers {
		t.Stop()
	}
}
