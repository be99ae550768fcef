package wire

import (
	"bytes"
	"reflect"
	"testing"
)

func TestParseEvent(t *testing.T) {
	for text, want := range map[string]EventValue{
		"presence":                    {Package: []byte("presence")},
		" presence.winfo ; ID = 7a ":  {Package: []byte("presence.winfo"), ID: []byte("7a")},
		"presence;x=\"a;id=1\";id=2":  {Package: []byte("presence"), ID: []byte("2")},
		"presence;id=\"quoted\"":      {Package: []byte("presence")},
		"presence;id":                 {Package: []byte("presence")},
		"presence x;id=1":             {},
		"":                            {},
		"message-summary;id=a;id=b":   {Package: []byte("message-summary"), ID: []byte("a")},
		"dialog;sla;ma;id=~5+_`'!%*.": {Package: []byte("dialog"), ID: []byte("~5+_`'!%*.")},
	} {
		if got := ParseEvent([]byte(text)); !bytes.Equal(got.Package, want.Package) || !bytes.Equal(got.ID, want.ID) {
			t.Errorf("%q: %q %q", text, got.Package, got.ID)
		}
	}
}

func TestParseState(t *testing.T) {
	for text, want := range map[string]StateValue{
		"":                  {Expires: -1},
		"active;expires=60": {Expires: 60},
		"Terminated ; Reason = deactivated;retry-after=5": {Terminated: true, Expires: -1},
		"terminated;reason=timeout;expires=0":             {Terminated: true},
		"pending;expires=99999999999999999":               {Expires: maxSeconds},
		"active;expires=-1":                               {Expires: -1},
	} {
		if got := ParseState([]byte(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestParseContact(t *testing.T) {
	type contact = ContactValue
	for text, want := range map[string]contact{
		"*":                     {URI: []byte("*"), Expires: -1},
		"sip:a@h;expires=5":     {URI: []byte("sip:a@h"), Expires: 5},
		"<sip:a@h;sos>;x":       {URI: []byte("sip:a@h;sos"), Emergency: true, Expires: -1},
		"<sip:a@h>;SOS":         {URI: []byte("sip:a@h"), Emergency: true, Expires: -1},
		"\"<;sos>\" <sip:a@h>":  {URI: []byte("sip:a@h"), Expires: -1},
		"<sip:sos;a@h>":         {URI: []byte("sip:sos;a@h"), Expires: -1},
		"<sip:a@h;gr=urn:uuid>": {URI: []byte("sip:a@h;gr=urn:uuid"), GRUU: []byte("urn:uuid"), Expires: -1},
		"<sip:a@h;gr>":          {URI: []byte("sip:a@h;gr"), GRUU: []byte{}, Expires: -1},
		"<sip:a@h;ob>;+sip.instance=\"<urn:uuid:f81d>\";expires=3600;reg-id=1": {
			URI: []byte("sip:a@h;ob"), Instance: []byte("<urn:uuid:f81d>"), Expires: 3600,
		},
		"<sip:a@h": {Expires: -1},
		"":         {URI: []byte{}, Expires: -1},
	} {
		if got := ParseContact([]byte(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// FuzzFields: nothing that stands in a field of another server makes a reader of it
// fall over, and what is read stands in there.
func FuzzFields(f *testing.F) {
	for _, s := range []string{"presence;id=1", "terminated;reason=x;expires=1", `"a" <sip:a@h;gr>;+sip.instance="<u>"`, "*", `;="`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		e, s, c := ParseEvent(v), ParseState(v), ParseContact(v)
		for _, part := range [][]byte{e.Package, e.ID, c.URI, c.Instance, c.GRUU} {
			if !bytes.Contains(v, part) {
				t.Errorf("%q: %q", v, part)
			}
		}
		for _, n := range []int{s.Expires, c.Expires} {
			if n < -1 || n > maxSeconds {
				t.Errorf("%q: %d", v, n)
			}
		}
		if len(e.ID) > 0 && len(e.Package) == 0 {
			t.Errorf("%q: an id without a package", v)
		}
	})
}
