package agent

import (
	"fmt"
	"testing"
)

func TestFamily(t *testing.T) {
	for userAgent, want := range map[string]string{
		"Linphone/5.1 (belle-sip/5.2)": "Linphone", "baresip v1.0.0": "baresip", "X": "X", "": "unknown", "(x)": "unknown",
	} {
		if got := Family(userAgent); got != want {
			t.Errorf("%q is %q, want %q", userAgent, got, want)
		}
	}
}

func TestRules(t *testing.T) {
	message, notify := Signal{Message: true}, Signal{Notify: true}
	rules := Rules{{"linphone/4*", notify}, {"Linphone*", message}, {"ba?esip*", notify}}
	for userAgent, want := range map[string]Signal{
		"Linphone/4.4 (x/1)": notify, "LINPHONE/5.1": message, "baresip v1": notify, "": {}, "Zoiper": {},
	} {
		if got := rules.For(userAgent, Signal{}); got != want {
			t.Errorf("%q: %+v, want %+v", userAgent, got, want)
		}
	}
}

// However many families there are, the table stays small, and counts all of them.
func TestTableIsBounded(t *testing.T) {
	var table Table[int]
	for i := range 1000 {
		table.Change(fmt.Sprintf("Phone%d/1", i), func(n *int) { *n++ })
		table.Change("Phone0/2", func(n *int) { *n++ })
	}
	all, sum := table.All(), 0
	for _, n := range all {
		sum += n
	}
	if len(all) != maxFamilies+1 || sum != 2000 || all["Phone0"] != 1001 || all[Rest] != 1000-maxFamilies {
		t.Errorf("%d families, %d in all, %d of the first, %d of the rest", len(all), sum, all["Phone0"], all[Rest])
	}
	if names := Families(all); len(names) != len(all) || names[0] != "Phone0" {
		t.Errorf("%v", names)
	}
}
