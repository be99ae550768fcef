package route

import (
	"testing"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/wire"
)

// TestDecide is RFC 3261 16.4 to 16.6 for the two sides, by example.
func TestDecide(t *testing.T) {
	r := Router{Config: &Config{
		Names:  Names{NewName("10.0.0.1", 5060, 1, dialogs.Core), NewName("fd00::1", 5060, 2, dialogs.Core), NewName("10.1.0.1", 5062, 3, dialogs.Server)},
		Server: []byte("sip:server"), Core: [][]byte{[]byte("sip:core")},
	}}
	for name, c := range map[string]struct {
		side        dialogs.Side
		uri, routes string
		tag         bool
		want        string // URI, "core" or "server"
		exit        int    // socket
		left        string // the routes that remain
	}{
		"out of a dialog":       {dialogs.Core, "sip:bob@ims.example", "", false, "server", 0, ""},
		"in a dialog":           {dialogs.Core, "sip:ps@10.1.0.9", "<sip:10.0.0.1;lr;rw>, <sip:10.1.0.1:5062;lr;rw>", true, "sip:ps@10.1.0.9", 3, ""},
		"by the second socket":  {dialogs.Server, "sip:a@10.0.0.9", "<sip:10.1.0.1:5062;lr;rw>, <sip:[FD00:0::1];lr;rw>, <sip:10.0.0.7;lr>", true, "sip:10.0.0.7;lr", 2, "<sip:10.0.0.7;lr>"},
		"to a domain":           {dialogs.Server, "sip:alice@ims.example", "", true, "core", 0, ""},
		"to a phone":            {dialogs.Server, "sip:alice@10.0.0.9:5070", "", true, "sip:alice@10.0.0.9:5070", 0, ""},
		"own way in alone":      {dialogs.Server, "sip:a@10.0.0.9", "<sip:10.1.0.1:5062;lr;rw>", true, "sip:a@10.0.0.9", 0, ""},
		"a port of another one": {dialogs.Server, "sip:a@10.0.0.9", "<sip:10.0.0.1:5080;lr>", true, "sip:10.0.0.1:5080;lr", 0, "<sip:10.0.0.1:5080;lr>"},
	} {
		t.Run(name, func(t *testing.T) {
			msg := "NOTIFY " + c.uri + " SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@c>"
			if c.tag {
				msg += ";tag=2"
			}
			msg += "\r\nCall-ID: 1\r\nCSeq: 1 NOTIFY\r\n"
			if c.routes != "" {
				msg += "Route: " + c.routes + "\r\n"
			}
			var d draft.Draft
			if !d.Load([]byte(msg + "Content-Length: 0\r\n\r\n")) {
				t.Fatal(msg)
			}
			got := r.Decide(&d, c.side)
			where := string(got.URI)
			switch {
			case got.Core:
				where = "core"
			case got.Server:
				where = "server"
			}
			exit := 0
			if got.Exit != nil {
				exit = got.Exit.Socket
			}
			var left wire.Message
			if err := wire.Scan(d.Edits.AppendTo(nil, d.Msg.Raw), &left); err != nil {
				t.Fatal(err)
			}
			routes, _ := left.Value(wire.Route)
			if where != c.want || exit != c.exit || string(routes) != c.left {
				t.Errorf("to %s by %d, left %q", where, exit, routes)
			}
		})
	}
}

// TestIsSIPS tells URIs that ask for a way that is secure all along.
func TestIsSIPS(t *testing.T) {
	for uri, secure := range map[string]bool{"sips:bob@ims.example": true, "SIPS:b@c": true, "sip:b@c": false, "sips": false} {
		if isSIPS([]byte(uri)) != secure {
			t.Error(uri)
		}
	}
}
