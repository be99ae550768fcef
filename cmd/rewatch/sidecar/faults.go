package sidecar

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/policy/alarm"
)

// routingFaults raises one alarm for each next hop whose path is broken: NOTIFYs are answered 482, 483
// or 502, or MESSAGEs of rewatch's own come back, for more than one user. The alarm is cleared when
// nothing of that kind has happened for a while.
type routingFaults struct {
	alarms *alarm.Manager
	full   prometheus.Counter
	mu     sync.Mutex
	hops   map[netip.AddrPort]*faultyHop
}

// faultyHop is a next hop with a fault. One user is not enough for an alarm, because its phone may
// have caused the fault.
type faultyHop struct {
	timer  *time.Timer
	user   string // the first that the fault was seen with
	raised bool
}

const (
	// faultQuiet is how long a next hop has to be without a fault.
	faultQuiet = 15 * time.Minute
	// maxFaults bounds the hops that are watched. So many alarms are enough for an administrator.
	maxFaults = 256
)

func newRoutingFaults(m *alarm.Manager, full prometheus.Counter) *routingFaults {
	return &routingFaults{alarms: m, full: full, hops: map[netip.AddrPort]*faultyHop{}}
}

// saw notes a response of a next hop to a NOTIFY.
func (f *routingFaults) saw(hop netip.AddrPort, user string, status int) {
	f.fault(hop, user, fmt.Sprintf("NOTIFYs to several users were answered with %d and its like: the path is broken, not the users.", status))
}

// cameBack notes that a neighbour has sent a MESSAGE of rewatch's own back to rewatch.
func (f *routingFaults) cameBack(neighbour netip.AddrPort, user string) {
	f.fault(neighbour, user, "MESSAGEs of rewatch's own came back from the core: filter criteria have to leave out what is from REWATCH_IDENTITY.")
}

func (f *routingFaults) fault(hop netip.AddrPort, user, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.hops[hop]
	switch {
	case h != nil:
		h.timer.Reset(faultQuiet)
	case len(f.hops) >= maxFaults:
		f.full.Inc()
		return
	default:
		h = &faultyHop{timer: time.AfterFunc(faultQuiet, func() { f.over(hop) }), user: user}
		f.hops[hop] = h
	}
	if !h.raised && h.user != user {
		h.raised = true
		f.alarms.Raise(alarm.Alarm{Name: alarm.RoutingFault, Object: hop.String(), Text: text})
	}
}

func (f *routingFaults) over(hop netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.hops[hop]; h != nil && h.raised {
		f.alarms.Clear(alarm.RoutingFault, hop.String(), time.Now())
	}
	delete(f.hops, hop)
}

func (f *routingFaults) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.hops {
		h.timer.Stop()
	}
}
