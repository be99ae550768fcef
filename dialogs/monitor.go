package dialogs

import (
	"context"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Answer says what the server gets when one of its NOTIFYs fails.
type Answer uint8

const (
	// Answer481 is "481 Subscription Does Not Exist", upon which every server
	// deletes the subscription.
	Answer481 Answer = iota
	// AnswerPassthrough leaves the server the real response.
	AnswerPassthrough
	// AnswerSilent gives no answer: the server's own Timer F ends the
	// subscription.
	AnswerSilent
)

// String names the answer as REWATCH_ANSWER does.
func (a Answer) String() string {
	switch a {
	case AnswerPassthrough:
		return "passthrough"
	case AnswerSilent:
		return "silent"
	default:
		return "481"
	}
}

// MonitorConfig is the operator's choice of what is watched and what a failure
// means.
type MonitorConfig struct {
	// Events are the event packages that are recovered; "*" (or none) is all.
	Events []string
	// FailureRFC leaves out the codes that end only the transaction (RFC 5057).
	FailureRFC bool
	Answer     Answer
	// SignalNotify keeps the head of a failed NOTIFY for Termination.
	SignalNotify bool
	// MaxSubscriptions bounds the subscriptions, and by itself the
	// registrations; 0 is 1,000,000.
	MaxSubscriptions int
	// T1 is the round-trip estimate of RFC 3261; 0 is 500 ms.
	T1 time.Duration
	// NotifyTimeout is the deadline of a NOTIFY, told in the ladder; 0 is 28 s.
	NotifyTimeout time.Duration
	// DryRun changes no answer: everything is forwarded and relayed.
	DryRun bool
	// RoutingFault, if not nil, is told that a response says that the path is
	// broken (482, 483, 502). It must not block.
	RoutingFault func(hop netip.AddrPort, status int)
}

// Monitor knows who is subscribed to what and who is registered by which
// S-CSCF. Its methods may be called from any goroutine.
type Monitor struct {
	cfg MonitorConfig
	rec Recovery
	log zerolog.Logger
}

// NewMonitor makes a Monitor that offers what happens to rec. Start it for its
// expiries to be noticed.
func NewMonitor(cfg MonitorConfig, rec Recovery, log zerolog.Logger, reg prometheus.Registerer) *Monitor {
	_ = reg
	return &Monitor{cfg: cfg, rec: rec, log: log}
}

// Start begins the expiry sweeps; they end with ctx or with Shutdown.
func (m *Monitor) Start(ctx context.Context) { _ = ctx }

// Shutdown ends the sweeps and waits for them, at most until ctx is done.
func (m *Monitor) Shutdown(ctx context.Context) error { return ctx.Err() }

// Subscribe is told of a SUBSCRIBE before it is forwarded.
func (m *Monitor) Subscribe(msg *Message) Ruling { _ = msg; return Ruling{} }

// SubscribeDone is told of the final response to a SUBSCRIBE of the core.
func (m *Monitor) SubscribeDone(msg *Message) { _ = msg }

// Notify is told of a NOTIFY from the server, once per transaction, before it is
// forwarded.
func (m *Monitor) Notify(msg *Message) (Ref, Ruling) { _ = msg; return 0, Ruling{} }

// NotifyDone is told how the transaction of a NOTIFY ended, and asked what the
// server is to be answered.
func (m *Monitor) NotifyDone(ref Ref, o Outcome) Verdict { _, _ = ref, o; return Verdict{Relay: true} }

// Register is told of a third-party REGISTER before it is forwarded.
func (m *Monitor) Register(msg *Message) Ruling { _ = msg; return Ruling{} }

// RegisterDone is told of the final response to a third-party REGISTER.
func (m *Monitor) RegisterDone(msg *Message) { _ = msg }

// User implements Directory.
func (m *Monitor) User(aor string) User { return User{AOR: aor} }

// SignedOut implements Directory.
func (m *Monitor) SignedOut(aor string, at time.Time) { _, _ = aor, at }

// Termination implements Directory.
func (m *Monitor) Termination(aor, callID, event string) (TerminateJob, bool) {
	_, _, _ = aor, callID, event
	return TerminateJob{}, false
}
