package alarm

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// amInterval is how often active alarms are repeated, and amHold how long
	// Alertmanager believes in one that is not: several repetitions may be lost.
	amInterval = time.Minute
	amHold     = 5 * time.Minute
	// amBatch bounds the alerts of one POST.
	amBatch = 200
)

// alertmanager speaks API v2 of Prometheus Alertmanager.
type alertmanager struct {
	target string
	client *http.Client
}

// NewAlertmanagers returns a Sink for each base URL ("http://am:9093", or with a
// path prefix). Each gets everything: the members of a cluster agree among
// themselves who notifies. A nil client means the default one.
func NewAlertmanagers(bases []string, client *http.Client) []Sink {
	var sinks []Sink
	for _, base := range bases {
		sinks = append(sinks, &alertmanager{
			target: strings.TrimRight(base, "/") + "/api/v2/alerts",
			client: direct(client),
		})
	}
	return sinks
}

func (am *alertmanager) Name() string { return "alertmanager " + redact(am.target) }

// alert is an element of the body of POST /api/v2/alerts.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// alertOf makes the alert of an alarm. The labels are its identity, so nothing
// may be among them that differs between the raise and the clear.
func alertOf(a Alarm) alert {
	ends := time.Now().Add(amHold)
	if a.ClearedAt != nil {
		ends = *a.ClearedAt
	}
	if ends.Before(a.RaisedAt) {
		// Alertmanager refuses an alert that ends before it starts.
		ends = a.RaisedAt
	}
	labels := map[string]string{
		"alertname":      a.Name,
		"severity":       string(a.Severity),
		"event_type":     a.EventType,
		"probable_cause": a.ProbableCause,
		"service":        "rewatch",
	}
	if a.Object != "" {
		labels["object"] = a.Object
	}
	if a.Object != "" && AboutUser(a.Name) {
		labels["aor"] = a.Object
	}
	return alert{
		Labels: labels,
		Annotations: map[string]string{
			"summary":     strings.TrimSpace(a.Name + " " + a.Object),
			"description": a.Text,
			"id":          a.ID,
		},
		StartsAt: a.RaisedAt.UTC(),
		EndsAt:   ends.UTC(),
	}
}

func (am *alertmanager) Deliver(ctx context.Context, a Alarm) error {
	return post(ctx, am.client, am.target, []alert{alertOf(a)})
}

func (am *alertmanager) Interval() time.Duration { return amInterval }

func (am *alertmanager) Refresh(ctx context.Context, active []Alarm) error {
	for batch := range slices.Chunk(active, amBatch) {
		alerts := make([]alert, 0, len(batch))
		for _, a := range batch {
			alerts = append(alerts, alertOf(a))
		}
		if err := post(ctx, am.client, am.target, alerts); err != nil {
			return err
		}
	}
	return nil
}
