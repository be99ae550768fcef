package alarm

import (
	"context"
	"net/http"
)

// webhook posts every change as JSON to one URL.
type webhook struct {
	target string
	client *http.Client
}

// NewWebhooks returns a Sink for each URL, so that one that is down does not hold
// up the others. A nil client means the default one.
func NewWebhooks(urls []string, client *http.Client) []Sink {
	var sinks []Sink
	for _, u := range urls {
		sinks = append(sinks, &webhook{target: u, client: direct(client)})
	}
	return sinks
}

func (w *webhook) Name() string { return "webhook " + redact(w.target) }

// notification is the body of the POST: the alarm and its state.
type notification struct {
	State string `json:"state"`
	Alarm
}

func (w *webhook) Deliver(ctx context.Context, a Alarm) error {
	return post(ctx, w.client, w.target, notification{State: a.State(), Alarm: a.Shown()})
}
