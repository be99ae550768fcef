package alarm

// The names of all alarms.
const (
	WatcherExhausted = "watcher-exhausted"
	WatcherBanned    = "watcher-banned"
	CoreOutage       = "core-outage"
	ServerDown       = "server-down"
	StoreUnavailable = "store-unavailable"
	DeregisterFailed = "deregister-failed"
	DeregisterCap    = "deregister-cap"
	RoutingFault     = "routing-fault"
	HeldByHand       = "held-by-hand"
	StateLost        = "state-lost"
)

// kind is what all alarms of one name have in common.
type kind struct {
	eventType, probableCause string // X.733 8.1.1, 8.1.2.1
	severity                 Severity
	text                     string
}

const (
	communications   = "communications"
	qualityOfService = "qualityOfService"
	processingError  = "processingError"
)

var kinds = map[string]kind{
	WatcherExhausted: {qualityOfService, "thresholdCrossed", Minor, "The user did not subscribe again; rewatch has given it up."},
	WatcherBanned:    {qualityOfService, "thresholdCrossed", Warning, "The user is refused for a while."},
	CoreOutage:       {communications, "communicationsSubsystemFailure", Critical, "NOTIFYs fail for too many users; rewatch holds and acts on nobody."},
	ServerDown:       {processingError, "applicationSubsystemFailure", Critical, "The presence server does not answer."},
	StoreUnavailable: {processingError, "underlyingResourceUnavailable", Major, "State cannot be saved; nobody is signed out until it can."},
	DeregisterFailed: {communications, "communicationsProtocolError", Major, "The user could not be signed out."},
	DeregisterCap:    {qualityOfService, "thresholdCrossed", Major, "As many users were signed out in an hour as the cap allows; others wait."},
	RoutingFault:     {communications, "communicationsProtocolError", Major, "The path of the NOTIFYs is broken, not the users."},
	HeldByHand:       {processingError, "indeterminate", Warning, "An operator has stopped all recovery; rewatch only watches."},
	StateLost:        {processingError, "corruptData", Major, "The state file could not be read and was moved aside; rewatch has begun a new one."},
}

// Names lists the names of all alarms.
func Names() []string {
	return []string{
		WatcherExhausted, WatcherBanned, CoreOutage, ServerDown, StoreUnavailable, DeregisterFailed, DeregisterCap,
		RoutingFault, HeldByHand, StateLost,
	}
}

// fill adds what follows from the name, where the caller left it empty.
func fill(a Alarm) Alarm {
	k, ok := kinds[a.Name]
	if !ok {
		k = kind{processingError, "indeterminate", Warning, a.Name}
	}
	if a.EventType == "" {
		a.EventType = k.eventType
	}
	if a.ProbableCause == "" {
		a.ProbableCause = k.probableCause
	}
	if a.Severity == "" {
		a.Severity = k.severity
	}
	if a.Text == "" {
		a.Text = k.text
	}
	return a
}
