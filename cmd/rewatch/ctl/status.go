package ctl

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// summary has the fields of /api/v1/summary that "status" prints.
type summary struct {
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
	Now        time.Time `json:"now"`
	Ready      bool      `json:"ready"`
	Conditions []struct {
		Name   string `json:"name"`
		OK     bool   `json:"ok"`
		Detail string `json:"detail"`
	} `json:"conditions"`
	Modes    []string `json:"modes"`
	LogLevel string   `json:"log_level"`
	Holds    []struct {
		Hop     string    `json:"hop"`
		Reason  string    `json:"reason"`
		At      time.Time `json:"at"`
		Waiting int       `json:"waiting"`
		ByHand  bool      `json:"by_hand"`
	} `json:"holds"`
	Subscriptions float64 `json:"subscriptions"`
	Registrations float64 `json:"registrations"`
	Deregistered  float64 `json:"deregistered"`
}

// alarms has the fields of /api/v1/alarms that "status" prints.
type alarms struct {
	Items []struct {
		Name     string    `json:"name"`
		Object   string    `json:"object"`
		Severity string    `json:"severity"`
		Raised   time.Time `json:"raised_at"`
	} `json:"items"`
}

func (c *controller) status(ctx context.Context, _ string) error {
	var s summary
	var raised alarms
	for path, into := range map[string]any{"summary": &s, "alarms": &raised} {
		text, err := c.ask(ctx, http.MethodGet, path, nil)
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			return err
		}
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-15s "+format+"\n", append([]any{name}, args...)...)
	}
	ready := "yes"
	if !s.Ready {
		ready = "no"
	}
	line("version", "%s", s.Version)
	line("up", "%s", s.Now.Sub(s.Started).Round(time.Second))
	line("ready", "%s", ready)
	for _, cond := range s.Conditions {
		if !cond.OK {
			line("", "waits for %s: %s", cond.Name, cond.Detail)
		}
	}
	line("mode", "%s", strings.Join(s.Modes, ", "))
	for _, h := range s.Holds {
		what := h.Hop
		if h.ByHand {
			what = "by hand"
		}
		line("held", "%s, for %s: %s; %d users wait", what, s.Now.Sub(h.At).Round(time.Second), h.Reason, h.Waiting)
	}
	line("log level", "%s", s.LogLevel)
	line("subscriptions", "%.0f", s.Subscriptions)
	line("registrations", "%.0f", s.Registrations)
	line("signed out", "%.0f since the start", s.Deregistered)
	line("alarms", "%d", len(raised.Items))
	const most = 20
	for i, a := range raised.Items {
		if i == most {
			line("", "and %d more", len(raised.Items)-most)
			break
		}
		line("", "%s %s of %s, for %s", a.Severity, a.Name, a.Object, s.Now.Sub(a.Raised).Round(time.Second))
	}
	return c.say(strings.TrimSuffix(b.String(), "\n"))
}
