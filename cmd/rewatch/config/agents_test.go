package config

import (
	"reflect"
	"testing"

	"rewatch/dialogs/agent"
)

func TestParseAgents(t *testing.T) {
	message, notify, both := agent.Signal{Message: true}, agent.Signal{Notify: true}, agent.Signal{Message: true, Notify: true}
	for text, want := range map[string][]agent.Rule{
		"Linphone*=message, baresip*=notify": {{Pattern: "Linphone*", Signal: message}, {Pattern: "baresip*", Signal: notify}},
		"a=message,notify,b=notify":          {{Pattern: "a", Signal: both}, {Pattern: "b", Signal: notify}},
		"message":                            nil,
		"=message":                           nil,
		"a=":                                 nil,
		"a=call":                             nil,
		"[=message":                          nil,
	} {
		got, err := parseAgents(text)
		if !reflect.DeepEqual(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestNotifies(t *testing.T) {
	c := DialogsConfig{Signal: agent.Signal{Message: true}}
	if c.Notifies() {
		t.Error("nobody is told by NOTIFY")
	}
	c.SignalAgents = []agent.Rule{{Pattern: "baresip*", Signal: agent.Signal{Notify: true}}}
	if !c.Notifies() {
		t.Error("baresip is told by NOTIFY")
	}
}

func TestSharedState(t *testing.T) {
	for text, want := range map[string]bool{StateMemory: false, "file:/var/lib/rewatch/state.db": false, "redis://host": true} {
		if got := (StateConfig{Store: text}).Shared(); got != want {
			t.Errorf("%s is shared: %t", text, got)
		}
	}
}
