package alarm

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"rewatch/policy"
)

// The names of all alarms.
const (
	WatcherExhausted = policy.AlarmExhausted
	WatcherBanned    = policy.AlarmBanned
	CoreOutage       = "core-outage"
	ServerDown       = "server-down"
	StoreUnavailable = "store-unavailable"
	DeregisterFailed = policy.AlarmDeregisterFailed
	DeregisterCap    = "deregister-cap"
	RoutingFault     = "routing-fault"
	HeldByHand       = "held-by-hand"
	StateLost        = "state-lost"
	// CertificateExpiry: a certificate that rewatch shows ends soon, or has ended.
	CertificateExpiry = "certificate-expiry"
)

// kind is what all alarms of one name have in common.
type kind struct {
	eventType, probableCause string // X.733 8.1.1, 8.1.2.1
	severity                 Severity
	text                     string
	cleared                  string // the text of the clear
}

const (
	communications   = "communications"
	qualityOfService = "qualityOfService"
	processingError  = "processingError"
	timeDomain       = "timeDomainViolation" // X.736 8.1.1
)

var kinds = map[string]kind{
	WatcherExhausted:  {qualityOfService, "thresholdCrossed", Minor, "The user did not subscribe again; rewatch has given it up.", "The user is back, or was forgiven."},
	WatcherBanned:     {qualityOfService, "thresholdCrossed", Warning, "The user is refused for a while.", "The user is no longer refused."},
	CoreOutage:        {communications, "communicationsSubsystemFailure", Critical, "NOTIFYs fail for too many users; rewatch holds and acts on nobody.", "NOTIFYs get through again."},
	ServerDown:        {processingError, "applicationSubsystemFailure", Critical, "The presence server does not answer.", "The presence server answers again."},
	StoreUnavailable:  {processingError, "underlyingResourceUnavailable", Major, "State cannot be saved; nobody is signed out until it can.", "State is saved again."},
	DeregisterFailed:  {communications, "communicationsProtocolError", Major, "The user could not be signed out.", "The user is signed out, or its registration has ended."},
	DeregisterCap:     {qualityOfService, "thresholdCrossed", Major, "As many users were signed out in an hour as the cap allows; others wait.", "Users can be signed out again, and none waits."},
	RoutingFault:      {communications, "communicationsProtocolError", Major, "The path of the NOTIFYs is broken, not the users.", "The path of the NOTIFYs has shown no fault for a while."},
	HeldByHand:        {processingError, "indeterminate", Warning, "An operator has stopped all recovery; rewatch only watches.", "An operator has let recovery go on."},
	CertificateExpiry: {timeDomain, "keyExpired", Major, "The certificate ends soon.", "The certificate was renewed."},
	StateLost:         {processingError, "corruptData", Major, "The state file could not be read and was moved aside; rewatch has begun a new one.", "The state file that was moved aside has been dealt with."},
}

// AboutUser says whether the object of the alarms of a name is an address of record. The state of
// that user remembers such an alarm while it is raised.
func AboutUser(name string) bool {
	return name == WatcherExhausted || name == WatcherBanned || name == DeregisterFailed
}

// Names lists the names of all alarms, sorted.
func Names() []string { return slices.Sorted(maps.Keys(kinds)) }

// Of is an alarm with what all of its name have in common.
func Of(name, object, text string, at time.Time) Alarm {
	return fill(Alarm{Name: name, Object: object, Text: text, RaisedAt: at})
}

// Shown is the alarm as people are to read it: a clear has a severity and a text of its
// own. To a receiver that matches a clear by what the raise said it is told as it is.
func (a Alarm) Shown() Alarm {
	if a.ClearedAt == nil {
		return a
	}
	a.Severity = Cleared
	a.Text = cmp.Or(kinds[a.Name].cleared, a.Text)
	return a
}

// fill adds what follows from the name, where the caller left it empty.
func fill(a Alarm) Alarm {
	k, ok := kinds[a.Name]
	if !ok {
		k = kind{processingError, "indeterminate", Warning, a.Name, ""}
	}
	a.EventType = cmp.Or(a.EventType, k.eventType)
	a.ProbableCause = cmp.Or(a.ProbableCause, k.probableCause)
	a.Severity = cmp.Or(a.Severity, k.severity)
	a.Text = cmp.Or(a.Text, k.text)
	if len(a.Text) > maxText {
		a.Text = strings.ToValidUTF8(a.Text[:maxText-len("...")], "") + "..."
	}
	return a
}
