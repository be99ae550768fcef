package aor

import (
	"bytes"
	"testing"
)

func TestContradicts(t *testing.T) {
	tests := []struct {
		name, pai, from string
		want            bool
	}{
		{"none asserted", "", "sip:alice@ims.example", false},
		{"the same", "sip:alice@IMS.example;user=phone", "sip:alice@ims.example", false},
		{"one of them is", "tel:+1-555 sip:alice@ims.example", "tel:+1555", false},
		{"another", "sip:mallory@ims.example", "sip:alice@ims.example", true},
		{"others", "sip:mallory@ims.example tel:+1555", "sip:alice@ims.example", true},
		{"anonymous", "sip:alice@ims.example", "sip:anonymous@anonymous.invalid", true},
		{"unreadable From", "sip:alice@ims.example", "", true},
		{"nothing readable is asserted", "<>> ;", "sip:alice@ims.example", false},
	}
	for _, tt := range tests {
		if got := Contradicts(uris(tt.pai), []byte(tt.from)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	asserted, from := uris("sip:alice@ims.example"), []byte("sip:alice@ims.example")
	if n := testing.AllocsPerRun(100, func() { Contradicts(asserted, from) }); n != 0 {
		t.Error(n, "allocations")
	}
}

func uris(list string) [][]byte { return bytes.Fields([]byte(list)) }
