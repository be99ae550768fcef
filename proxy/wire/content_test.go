package wire

import "testing"

func TestContent(t *testing.T) {
	const start = "NOTIFY sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\n"
	for _, c := range []struct{ head, kind, encoding string }{
		{"Content-Type: application/pidf+xml;charset=utf-8\r\n", "application/pidf+xml;charset=utf-8", ""},
		{"c:application/pidf+xml\r\ne : gzip\r\n", "application/pidf+xml", "gzip"},
		{"CONTENT-TYPE :\r\n  text/plain\r\ncontent-encoding: identity\r\n", "text/plain", "identity"},
		{"Content-Typed: text/plain\r\n", "", ""},
	} {
		kind, encoding, body := Content([]byte(start + c.head + "Content-Length: 4\r\n\r\nbody"))
		if kind != c.kind || encoding != c.encoding || string(body) != "body" {
			t.Errorf("%q: %q, %q, %q", c.head, kind, encoding, body)
		}
	}
	if kind, _, body := Content([]byte("nonsense")); kind != "" || body != nil {
		t.Error(kind, body)
	}
}
