package alarm

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Config is what a Manager needs.
type Config struct {
	// Sinks are told of every raise and clear; the log always is.
	Sinks []Sink
	// Registerer takes rewatch_alarms_active; nil: no metric.
	Registerer prometheus.Registerer
	// Dropped counts what a full queue lost, rewatch_dropped_total{reason="alarm-queue"}.
	Dropped prometheus.Counter
	Log     zerolog.Logger
	// QueueSize bounds what waits for one sink, MaxActive the active alarms.
	QueueSize, MaxActive int
}

// Manager keeps the alarms.
type Manager struct{}

// New returns a Manager.
func New(cfg Config) *Manager { return &Manager{} }

// Raise makes an alarm active, unless one of its name and object already is.
func (m *Manager) Raise(a Alarm) {}

// Clear ends the alarm of that name and object, if there is one.
func (m *Manager) Clear(name, object string, at time.Time) {}

// Active lists the active alarms, oldest first.
func (m *Manager) Active() []Alarm { return nil }

// History lists the last 256 that were cleared, oldest first.
func (m *Manager) History() []Alarm { return nil }

// Start starts the workers of the sinks.
func (m *Manager) Start(ctx context.Context) {}

// Shutdown delivers what is queued, until ctx ends, and stops the workers.
func (m *Manager) Shutdown(ctx context.Context) error { return nil }
