package monitor

import (
	"testing"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
)

func TestWatcherOf(t *testing.T) {
	tests := []struct{ name, pai, from, want string }{
		{"From", "", "sip:alice@ims.example", "sip:alice@ims.example"},
		{"asserted", "<sip:alice@ims.example>", "sip:anonymous@anonymous.invalid", "sip:alice@ims.example"},
		{"addr-spec", "sip:alice@ims.example;x=y", "sip:b@h", "sip:alice@ims.example"},
		{"sip before tel", "<tel:+1555>, \"A\" <sip:alice@ims.example>", "sip:b@h", "sip:alice@ims.example"},
		{"tel alone", "<tel:+1-555>", "sip:b@h", "tel:+1555"},
		{"comma in the name", `"A, \"<sip:c@h>" <sip:alice@ims.example>`, "sip:b@h", "sip:alice@ims.example"},
		{"rubbish", "<<>>,,;", "sip:b@h", "sip:b@h"},
		{"nothing", "", "", ""},
	}
	m, _ := newTestMonitor(Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := m.watcherOf(&dialogs.Message{Identities: dialogstest.Identities(tt.pai), FromURI: []byte(tt.from)})
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
