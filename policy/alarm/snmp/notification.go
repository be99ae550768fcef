package snmp

import (
	"encoding/binary"
	"time"
	"unicode/utf8"

	"github.com/gosnmp/gosnmp"

	"rewatch/policy/alarm"
)

// Every notification starts with these two (RFC 3416 4.2.6).
const (
	sysUpTime   = "1.3.6.1.2.1.1.3.0"
	snmpTrapOID = "1.3.6.1.6.3.1.1.4.1.0"
)

// What follows rewatchMIB in the object identifiers. The objects are scalars, so
// each has the one instance 0.
const (
	notificationRaised  = ".0.1"
	notificationCleared = ".0.2"

	objectID            = ".1.1.0"
	objectName          = ".1.2.0"
	objectObject        = ".1.3.0"
	objectEventType     = ".1.4.0"
	objectProbableCause = ".1.5.0"
	objectSeverity      = ".1.6.0"
	objectText          = ".1.7.0"
	objectRaisedAt      = ".1.8.0"
	objectClearedAt     = ".1.9.0"
)

// The bounds of SnmpAdminString and RewatchText.
const (
	longestName = 255
	longestText = 512
)

// severities are the numbers of RewatchSeverity.
var severities = map[alarm.Severity]int{
	alarm.Cleared:  1,
	alarm.Critical: 3,
	alarm.Major:    4,
	alarm.Minor:    5,
	alarm.Warning:  6,
}

const indeterminate = 2

// variables makes the notification of a raise or a clear.
func (s *sink) variables(a alarm.Alarm, now time.Time) []gosnmp.SnmpPDU {
	a = a.Shown()
	kind := notificationRaised
	if a.ClearedAt != nil {
		kind = notificationCleared
	}
	list := []gosnmp.SnmpPDU{
		{Name: sysUpTime, Type: gosnmp.TimeTicks, Value: ticks(now.Sub(s.cfg.Started))},
		{Name: snmpTrapOID, Type: gosnmp.ObjectIdentifier, Value: s.cfg.OID + kind},
		s.text(objectID, a.ID, longestName),
		s.text(objectName, a.Name, longestName),
		s.text(objectObject, a.Object, longestName),
		s.text(objectEventType, a.EventType, longestName),
		s.text(objectProbableCause, a.ProbableCause, longestName),
		{Name: s.cfg.OID + objectSeverity, Type: gosnmp.Integer, Value: number(a.Severity)},
		s.text(objectText, a.Text, longestText),
		s.time(objectRaisedAt, a.RaisedAt),
	}
	if a.ClearedAt != nil {
		list = append(list, s.time(objectClearedAt, *a.ClearedAt))
	}
	return list
}

// ticks are hundredths of a second; by the definition of TimeTicks they start
// anew after 497 days.
func ticks(d time.Duration) uint32 { return uint32(d / (10 * time.Millisecond)) }

func number(s alarm.Severity) int {
	if n, ok := severities[s]; ok {
		return n
	}
	return indeterminate
}

func (s *sink) text(object, value string, longest int) gosnmp.SnmpPDU {
	return gosnmp.SnmpPDU{Name: s.cfg.OID + object, Type: gosnmp.OctetString, Value: shortened(value, longest)}
}

// shortened cuts a text off between two characters, not within one.
func shortened(s string, longest int) string {
	if len(s) <= longest {
		return s
	}
	for longest > 0 && !utf8.RuneStart(s[longest]) {
		longest--
	}
	return s[:longest]
}

func (s *sink) time(object string, t time.Time) gosnmp.SnmpPDU {
	return gosnmp.SnmpPDU{Name: s.cfg.OID + object, Type: gosnmp.OctetString, Value: dateAndTime(t)}
}

// dateAndTime is the DateAndTime of SNMPv2-TC (RFC 2579), in UTC: year, month,
// day, hour, minute, second, tenths, and the distance from UTC.
func dateAndTime(t time.Time) []byte {
	t = t.UTC()
	b := binary.BigEndian.AppendUint16(nil, uint16(t.Year()))
	return append(b, byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()),
		byte(t.Nanosecond()/1e8), '+', 0, 0)
}
