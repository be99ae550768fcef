package monitor

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/policy"
	"rewatch/policy/outage"
)

// recorder is a Recovery that writes down what it is told.
type recorder struct {
	mu         sync.Mutex
	interested map[string]bool
	banned     map[string]bool
	lines      []string
	ladder     bool // write steps down, too
	heard      map[netip.AddrPort]int
	passed     map[netip.AddrPort]int
}

func newRecorder() *recorder {
	return &recorder{interested: map[string]bool{}, banned: map[string]bool{}}
}

func (r *recorder) Offer(aor string, e policy.Event) {
	line := fmt.Sprintf("offer %s %s", aor, e.Kind)
	if e.Sub.CallID != "" {
		line += fmt.Sprintf(" %s %s %s", e.Sub.Event, e.Sub.Resource, e.Sub.CallID)
	}
	if e.Sub.Cause != "" {
		line += fmt.Sprintf(" %q", e.Sub.Cause)
	}
	if e.Pointless {
		line += " pointless"
	}
	r.add(line)
}

func (r *recorder) Failed(f dialogs.Failure) {
	if f.Witness {
		r.add(fmt.Sprintf("witness %s at %v", f.AOR, f.Hop))
		return
	}
	if f.Superseded {
		r.add("the next failure is of a superseded subscription")
	}
	r.Offer(f.AOR, f.Event)
}

func (r *recorder) Passed(_ time.Time, hop netip.AddrPort, got outage.Passes) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.passed == nil {
		r.passed = map[netip.AddrPort]int{}
	}
	r.passed[hop] += got.N
}

func (r *recorder) Heard(_ time.Time, source netip.AddrPort, got outage.Passes) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heard == nil {
		r.heard = map[netip.AddrPort]int{}
	}
	r.heard[source] += got.N
}

func (r *recorder) Returned(agent string, by policy.By) {
	r.add("returned " + agent + " by " + by.String())
}

func (r *recorder) Interested(aor string) bool { return r.interested[aor] || r.interested["*"] }

func (r *recorder) Known(string) bool { return true }

func (r *recorder) Banned(aor string, _ time.Time) bool { return r.banned[aor] }

func (r *recorder) Trace(aor string, s dialogs.Step) {
	if r.ladder {
		r.add(fmt.Sprintf("ladder %s: %s -> %s: %s", aor, s.From, s.To, s.What))
	}
}

func (r *recorder) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

// take gives what was written since the last time.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

func (r *recorder) String() string { return strings.Join(r.lines, "\n") }

func newTestMonitor(cfg Config) (*Monitor, *recorder) {
	rec, reg := newRecorder(), prometheus.NewRegistry()
	return New(NewTable(cfg, reg), rec, zerolog.Nop(), reg), rec
}

// gather gives the metrics of a registry as "name{label,label} value" lines
// with the zeros left out.
func gather(reg *prometheus.Registry) map[string]float64 {
	families, err := reg.Gather()
	if err != nil {
		panic(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, pair := range metric.GetLabel() {
				labels = append(labels, pair.GetValue())
			}
			name := family.GetName() + "{" + strings.Join(labels, ",") + "}"
			v := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() +
				float64(metric.GetHistogram().GetSampleCount())
			if v != 0 {
				values[name] = v
			}
		}
	}
	return values
}
