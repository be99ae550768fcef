package observe

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"rewatch/proxy/wire"
)

// TestAssociatedURI reads the identities of a REGISTER where the S-CSCF has put them.
func TestAssociatedURI(t *testing.T) {
	const inner = "REGISTER sip:ims.example SIP/2.0\nTo: <sip:alice@ims.example>\n\n"
	for _, c := range []struct{ name, extra, body, want string }{
		{"none", "", "", ""},
		{"in one field", "P-Associated-URI: <sip:alice@ims.example>, <tel:+49,30>", "", "sip:alice@ims.example tel:+49,30"},
		{"in one pair of brackets", "P-Associated-URI: <sip:a,b@ims.example, tel:+4930,  sip:c@ims.example>, <sip:d@ims.example>", "", "sip:a,b@ims.example tel:+4930 sip:c@ims.example sip:d@ims.example"},
		{"in two", "P-Associated-URI: <sip:alice@ims.example>\nP-Associated-URI: \"A, B\" <sip:a@ims.example;x=y>", "", "sip:alice@ims.example sip:a@ims.example;x=y"},
		{"in the body", "", inner + "SIP/2.0 200 OK\np-associated-uri : <sip:alice@ims.example>, <tel:+4930>\n", "sip:alice@ims.example tel:+4930"},
		{"in both", "P-Associated-URI: <sip:alice@ims.example>", inner + "P-Associated-URI: <sip:bob@ims.example>\n", "sip:alice@ims.example"},
		{"an empty one", "", inner + "P-Associated-URI:\n", ""},
	} {
		head := "REGISTER sip:as SIP/2.0\nVia: SIP/2.0/UDP x;branch=z9hG4bKa\nFrom: <sip:s>;tag=1\nTo: <sip:alice@ims.example>\nCall-ID: c\nCSeq: 1 REGISTER\n"
		if c.extra != "" {
			head += c.extra + "\n"
		}
		raw := strings.ReplaceAll(fmt.Sprintf("%sContent-Length: %d\n\n%s", head, len(strings.ReplaceAll(c.body, "\n", "\r\n")), c.body), "\n", "\r\n")
		var m wire.Message
		if err := wire.Scan([]byte(raw), &m); err != nil {
			t.Fatal(c.name, err)
		}
		var o Observer
		if got := string(bytes.Join(o.readAssociated(&m), []byte(" "))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
