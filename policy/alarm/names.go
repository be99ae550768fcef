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
	WatcherExhausted: {qualityOfService, "thresholdCrossed", Minor, "the watcher did not subscribe again; rewatch gave up on him"},
	WatcherBanned:    {qualityOfService, "thresholdCrossed", Warning, "the watcher is refused"},
	CoreOutage:       {communications, "communicationsSubsystemFailure", Critical, "NOTIFYs fail for too many watchers; recovery is held"},
	ServerDown:       {processingError, "applicationSubsystemFailure", Critical, "the presence server does not answer"},
	StoreUnavailable: {processingError, "underlyingResourceUnavailable", Major, "the state store cannot be reached; nobody is de-registered"},
	DeregisterFailed: {communications, "communicationsProtocolError", Major, "the watcher could not be signed out"},
	DeregisterCap:    {qualityOfService, "thresholdCrossed", Major, "the hourly cap of de-REGISTERs is reached"},
	RoutingFault:     {communications, "communicationsProtocolError", Major, "the path of NOTIFYs is broken"},
}

// Names lists the names of all alarms.
func Names() []string {
	return []string{
		WatcherExhausted, WatcherBanned, CoreOutage, ServerDown,
		StoreUnavailable, DeregisterFailed, DeregisterCap, RoutingFault,
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
