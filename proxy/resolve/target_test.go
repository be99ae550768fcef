package resolve

import (
	"errors"
	"testing"

	"rewatch/proxy/wire"
)

func TestParseURI(t *testing.T) {
	tests := []struct {
		uri  string
		want Target
	}{
		{"sip:ims.example", Target{Host: "ims.example"}},
		{"sip:alice@IMS.Example.:5070", Target{Host: "ims.example", Port: 5070}},
		{"SIP:alice:pw@ims.example;Transport=TCP;lr", Target{Host: "ims.example", Transport: wire.TCP}},
		{"sips:ims.example;transport=tcp", Target{Host: "ims.example", Transport: wire.TCP, Secure: true}},
		{"<sip:192.0.2.1:5060;lr>", Target{Host: "192.0.2.1", Port: 5060}},
		{`"A <x> \"y" <sip:p1.example;lr>;tag=1`, Target{Host: "p1.example"}},
		{"<sip:a.example;lr>, <sip:b.example;lr>", Target{Host: "a.example"}},
		{"sip:[2001:DB8::1]", Target{Host: "2001:db8::1"}},
		{"sip:a@[2001:db8::1]:5062;transport=udp", Target{Host: "2001:db8::1", Port: 5062, Transport: wire.UDP}},
		{"sip:1;phone-context=x?y@gw.example;user=phone?Subject=z", Target{Host: "gw.example"}},
		{"sip:ims.example?Route=x", Target{Host: "ims.example"}},
		{"sip:far.example;maddr=192.0.2.7", Target{Host: "192.0.2.7"}},
		{"sip:far.example;maddr=[2001:db8::7]", Target{Host: "2001:db8::7"}},
		{"sip:[::FFFF:c000:207]", Target{Host: "192.0.2.7"}},
		{"sip:192.0.2.007.", Target{Host: "192.0.2.7"}},
		{"sip:1.2.3.example", Target{Host: "1.2.3.example"}},
		{"sip:1.2.3.4a", Target{Host: "1.2.3.4a"}},
		{"sip:h;transport=", Target{Host: "h"}},
		{"sip:h;;lr;=x;transport=tls", Target{Host: "h", Transport: wire.TLS}},
	}
	for _, tt := range tests {
		if got, err := ParseURI([]byte(tt.uri)); err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.uri, got, err)
		}
	}
}

func TestParseURIRefuses(t *testing.T) {
	tests := map[string]error{
		"":                         ErrNotSIP,
		"ims.example":              ErrNotSIP,
		"tel:+4930":                ErrNotSIP,
		"sip:":                     nil,
		"sip:alice@":               nil,
		"sip:h:0":                  nil,
		"sip:h:65536":              nil,
		"sip:h:x":                  nil,
		"sip:[::1":                 nil,
		"sip:a b":                  nil,
		"sip:h;transport=sctp":     ErrTransport,
		"sip:h;transport=udp\r\nx": nil,
		"sip:h:":                   nil,
		"sip://ims.example":        nil,
		"sip:h;maddr=":             nil,
		"sip:300.1.2.3":            nil,
		"sip:1.2.3":                nil,
		"sip:1.2.3.4.5:5060":       nil,
		"sip:12345":                nil,
		"sip:1..2":                 nil,
		"sip:[1.2.3.4:]":           nil,
		"sip:[2001::db8::1]":       nil,
		"sip:[fe80::1%eth0]":       nil,
		"sip:h;maddr=fe80::1%eth0": nil,
		"sip:h;maddr=10.0.0.300":   nil,
	}
	for uri, want := range tests {
		if got, err := ParseURI([]byte(uri)); err == nil || (want != nil && !errors.Is(err, want)) {
			t.Errorf("%q: %+v, %v", uri, got, err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	for _, s := range []string{"sip:a@h:1;transport=tcp", "<sip:[::1]>", `"\`, "sips:h;maddr="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, uri []byte) {
		got, err := ParseURI(uri)
		if (err == nil) != (got.Host != "") && err == nil {
			t.Errorf("%q: %+v without an error", uri, got)
		}
	})
}
