package ident

import (
	"testing"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
)

func TestDevice(t *testing.T) {
	for contact, want := range map[string]string{
		`<sip:a@1>;+sip.instance="<urn:uuid:1>"`:               "urn:uuid:1",
		`"A, <b>" <sip:a@1;gr=urn:uuid:2>;expires=3`:           "urn:uuid:2",
		`<sip:a@1;gr=urn:uuid:2>;+SIP.Instance="<urn:uuid:1>"`: "urn:uuid:1",
		`<sip:t@1;gr>`:                    "",
		`sip:a@1;+sip.instance="<urn:x>"`: "urn:x",
		`<sip:gr=1@1>`:                    "",
		`<sip:a@1>;+sip.instance="<a b>"`: "",
		`<sip:a@1`:                        "",
		``:                                "",
	} {
		var c dialogs.Contact
		for _, c = range dialogstest.Contacts(contact) {
			break
		}
		if got := string(Device(&c)); got != want {
			t.Errorf("%s: %q, want %q", contact, got, want)
		}
	}
}
