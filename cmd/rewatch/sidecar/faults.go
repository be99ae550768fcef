package sidecar

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/policy/alarm"
)

// routingFaults turns what says that the path is broken into one alarm per next
// hop, which clears when there was nothing for a while: responses to NOTIFYs (482,
// 483, 502), and MESSAGEs of our own that come back.
type routingFaults struct {
	alarms *alarm.Manager
	full   prometheus.Counter
	mu     sync.Mutex
	timers map[netip.AddrPort]*time.Timer
}

const (
	// faultQuiet is how long a next hop has to be without a fault.
	faultQuiet = 15 * time.Minute
	// maxFaults bounds the hops. An administrator who has so many alarms needs no
	// more of them.
	maxFaults = 256
)

func newRoutingFaults(m *alarm.Manager, full prometheus.Counter) *routingFaults {
	return &routingFaults{alarms: m, full: full, timers: map[netip.AddrPort]*time.Timer{}}
}

// saw takes a response to a NOTIFY.
func (f *routingFaults) saw(hop netip.AddrPort, status int) {
	f.fault(hop, fmt.Sprintf("A NOTIFY was answered with %d: the path is broken, not the user.", status))
}

// cameBack takes a MESSAGE of our own that a neighbour has sent to us.
func (f *routingFaults) cameBack(neighbour netip.AddrPort) {
	f.fault(neighbour, "A MESSAGE of rewatch's own came back from the core: filter criteria have to leave out what is from REWATCH_IDENTITY.")
}

func (f *routingFaults) fault(hop netip.AddrPort, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.timers[hop]; t != nil {
		t.Reset(faultQuiet)
		return
	}
	if len(f.timers) >= maxFaults {
		f.full.Inc()
		return
	}
	f.timers[hop] = time.AfterFunc(faultQuiet, func() { f.over(hop) })
	f.alarms.Raise(alarm.Alarm{Name: alarm.RoutingFault, Object: hop.String(), Text: text})
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
