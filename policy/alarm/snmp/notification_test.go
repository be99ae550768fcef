package snmp

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"rewatch/policy/alarm"
)

// TestMIB keeps the object identifiers of the code those of the MIB.
func TestMIB(t *testing.T) {
	text, err := os.ReadFile("../../../docker/snmp/REWATCH-MIB.txt")
	if err != nil {
		t.Fatal(err)
	}
	oids := oidsOf(string(text))
	for name, want := range map[string]string{
		"rewatchMIB":                DefaultOID,
		"rewatchAlarmRaised":        DefaultOID + notificationRaised,
		"rewatchAlarmCleared":       DefaultOID + notificationCleared,
		"rewatchAlarmId":            DefaultOID + objectID,
		"rewatchAlarmName":          DefaultOID + objectName,
		"rewatchAlarmObject":        DefaultOID + objectObject,
		"rewatchAlarmEventType":     DefaultOID + objectEventType,
		"rewatchAlarmProbableCause": DefaultOID + objectProbableCause,
		"rewatchAlarmSeverity":      DefaultOID + objectSeverity,
		"rewatchAlarmText":          DefaultOID + objectText,
		"rewatchAlarmRaisedAt":      DefaultOID + objectRaisedAt,
		"rewatchAlarmClearedAt":     DefaultOID + objectClearedAt,
	} {
		want = strings.TrimSuffix(want, ".0") // the instance
		if oids[name] != want {
			t.Errorf("%s is %q in the MIB, want %q", name, oids[name], want)
		}
	}
	for _, name := range alarm.Names() {
		if !strings.Contains(string(text), name) {
			t.Errorf("the MIB does not name %s", name)
		}
	}
}

var (
	defined = regexp.MustCompile(`^([a-z]\w*) +(?:MODULE-IDENTITY|OBJECT-TYPE|NOTIFICATION-TYPE|OBJECT IDENTIFIER)`)
	placed  = regexp.MustCompile(`::= \{ (\w+) (\d+) \}`)
)

// oidsOf reads the object identifiers of a MIB.
func oidsOf(mib string) map[string]string {
	oids := map[string]string{"enterprises": "1.3.6.1.4.1"}
	for range 3 { // a name may be used above its definition
		name := ""
		for line := range strings.Lines(mib) {
			if m := defined.FindStringSubmatch(line); m != nil {
				name = m[1]
			}
			if m := placed.FindStringSubmatch(line); m != nil && oids[m[1]] != "" {
				oids[name] = oids[m[1]] + "." + m[2]
			}
		}
	}
	return oids
}

func TestShortened(t *testing.T) {
	for in, want := range map[string]string{"": "", "abcd": "abcd", "abcde": "abcd", "abcäx": "abc", "äääx": "ää", "abä": "abä"} {
		if got := shortened(in, 4); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestEveryFieldHasABound(t *testing.T) {
	long := strings.Repeat("ä", 600)
	s := New(Config{}).(*sink)
	now := time.Now()
	for _, v := range s.variables(alarm.Alarm{ID: long, Name: long, Object: long, EventType: long, ProbableCause: long, Text: long, ClearedAt: &now}, now) {
		if text, ok := v.Value.(string); ok && len(text) > longestText {
			t.Errorf("%s has %d octets", v.Name, len(text))
		}
	}
}

// TestEngineClock: it never goes back, not where the 31 bits end either.
func TestEngineClock(t *testing.T) {
	for _, c := range []struct {
		now            time.Time
		boots, seconds uint32
	}{
		{time.Time{}, 1, 0},
		{engineBirth, 1, 0},
		{engineBirth.Add(90 * time.Second), 1, 90},
		{engineBirth.Add((1<<31 - 1) * time.Second), 1, 1<<31 - 1},
		{engineBirth.Add((1 << 31) * time.Second), 2, 0},
	} {
		if boots, seconds := engineClock(c.now); boots != c.boots || seconds != c.seconds {
			t.Errorf("%v: boot %d, %ds", c.now, boots, seconds)
		}
	}
}

func TestParseEngineID(t *testing.T) {
	for in, ok := range map[string]bool{
		DefaultEngineID: true, "0x8000000001020304": true, "8000": false, "": false, "0x": false,
		"80007ed904zz": false, strings.Repeat("80", 33): false,
	} {
		if _, err := ParseEngineID(in); (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
	}
}
