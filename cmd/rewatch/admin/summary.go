package admin

import (
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"

	"rewatch/cmd/rewatch/cli"
)

// Summary is the state of rewatch in a few figures, for the head of the console. The figures are read
// from the metrics, so that both always agree.
type Summary struct {
	Version       string      `json:"version"`
	Started       time.Time   `json:"started"`
	Now           time.Time   `json:"now"`
	Ready         bool        `json:"ready"`
	Conditions    []Condition `json:"conditions"`
	CanChange     bool        `json:"can_change"` // a token is configured
	Captures      bool        `json:"captures"`   // messages are kept, for download
	Modes         []string    `json:"modes"`      // what rewatch_mode says
	Holds         any         `json:"holds"`
	LogLevel      string      `json:"log_level"`
	Outage        bool        `json:"outage"`
	Subscriptions float64     `json:"subscriptions"`
	Registrations float64     `json:"registrations"`
	NotifyOK      float64     `json:"notify_ok"`
	NotifyFailed  float64     `json:"notify_failed"`
	Messages      float64     `json:"messages"`
	Recovered     float64     `json:"recovered"`
	Exhausted     float64     `json:"exhausted"`
	Deregistered  float64     `json:"deregistered"`
	Kept          float64     `json:"kept"` // NOTIFYs, for redelivery
}

func (a *Admin) summary(w http.ResponseWriter, _ *http.Request) {
	// A gatherer that failed in part still returns the rest.
	families, _ := a.gatherer.Gather()
	m := figures{}
	for _, f := range families {
		m[f.GetName()] = f
	}
	conditions := a.backend.Ready()
	writeJSON(w, http.StatusOK, Summary{
		Version:       cli.Version(),
		Started:       a.started,
		Now:           time.Now(),
		Ready:         allOK(conditions),
		Conditions:    conditions,
		CanChange:     a.token != "",
		Captures:      a.backend.Captures(),
		Modes:         a.backend.Modes(),
		Holds:         a.backend.Holds(),
		LogLevel:      a.backend.LogLevel(),
		Outage:        m.sum("rewatch_outage", "", "") > 0,
		Subscriptions: m.sum("rewatch_subscriptions", "", ""),
		Registrations: m.sum("rewatch_registrations", "", ""),
		NotifyOK:      m.sum("rewatch_notify_total", "result", "ok"),
		NotifyFailed:  m.sum("rewatch_notify_total", "result", "failed"),
		Messages:      m.sum("rewatch_messages_total", "", ""),
		Recovered:     m.sum("rewatch_recoveries_total", "result", "recovered"),
		Exhausted:     m.sum("rewatch_recoveries_total", "result", "exhausted"),
		Deregistered:  m.sum("rewatch_deregistrations_total", "result", "ok"),
		Kept:          m.sum("rewatch_redeliver_kept", "", ""),
	})
}

// figures are the metrics of one moment by name.
type figures map[string]*dto.MetricFamily

// sum adds up a counter or gauge over all label values, or only over those with
// this value of this label.
func (f figures) sum(name, label, value string) float64 {
	total := 0.0
	for _, m := range f[name].GetMetric() {
		if label == "" || hasLabel(m, label, value) {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return total
}

func hasLabel(m *dto.Metric, name, value string) bool {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue() == value
		}
	}
	return false
}
