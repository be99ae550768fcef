package wire

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// verdict tells what becomes of a datagram as far as its form decides: a proxy
// forwards it, refuses it with the status and reason phrase given, or drops it
// because no answer is due or can be addressed.
func verdict(raw []byte) string {
	var m Message
	err := Scan(raw, &m)
	if err == nil {
		err = m.Check()
	}
	values := m.Values(Via)
	top, _, _ := values.Next()
	_, ok := ParseVia(top)
	var fault *HeaderError
	switch {
	case err == nil && ok:
		return "forwarded"
	case !m.Request || !ok:
		return "dropped"
	case errors.As(err, &fault):
		return strconv.Itoa(fault.Status()) + " " + fault.Error()
	}
	return "400 " + err.Error()
}

// TestTorture gives every message of RFC 4475 its verdict. We forward more than
// the RFC asks a user agent to accept: a header that forwarding does not need is
// the end point's to judge, and a proxy that refused it would break calls that
// work today. What concerns more than the form of a message (Proxy-Require, Max-
// Forwards 0, an unknown scheme to be resolved, an address that is nobody's) the
// proxy decides; here such messages count as forwarded.
func TestTorture(t *testing.T) {
	tests := []struct{ file, want string }{
		// 3.1.1: all of these are to be processed.
		{"valid/dblreq", "forwarded"}, // what follows the first request is cut off
		{"valid/esc01", "forwarded"},
		{"valid/esc02", "forwarded"}, // C%6Fntact is not Contact, RE%47IST%45R not REGISTER
		{"valid/escnull", "forwarded"},
		{"valid/intmeth", "forwarded"},
		{"valid/longreq", "forwarded"},
		{"valid/lwsdisp", "forwarded"},
		{"valid/mpart01", "forwarded"},
		{"valid/noreason", "forwarded"},
		{"valid/semiuri", "forwarded"},
		{"valid/transports", "forwarded"},
		{"valid/unreason", "forwarded"},
		{"valid/wsinv", "forwarded"},

		// 3.1.2.1: the Via and Contact are malformed, the RFC has 400. We need the
		// first Via value, which reads well, and leave the empty ones alone.
		{"invalid/badinv01", "forwarded"},
		{"invalid/clerr", "400 wrong Content-Length"},         // 3.1.2.2
		{"invalid/ncl", "400 malformed Content-Length"},       // 3.1.2.3
		{"invalid/scalar02", "400 malformed CSeq"},            // 3.1.2.4
		{"invalid/scalarlg", "dropped"},                       // 3.1.2.5: a response
		{"invalid/quotbal", "forwarded"},                      // 3.1.2.6: "or infer": To is not ours to read
		{"invalid/ltgtruri", "400 malformed Request-URI"},     // 3.1.2.7
		{"invalid/lwsruri", "400 malformed Request-URI"},      // 3.1.2.8
		{"invalid/lwsstart", "400 malformed Request-URI"},     // 3.1.2.9
		{"invalid/trws", "400 malformed Request-Line"},        // 3.1.2.10
		{"invalid/escruri", "forwarded"},                      // 3.1.2.11: allows to ignore the headers in the URI
		{"invalid/baddate", "forwarded"},                      // 3.1.2.12: Date is not ours to read
		{"invalid/regbadct", "forwarded"},                     // 3.1.2.13: the registrar's to refuse
		{"invalid/badaspec", "forwarded"},                     // 3.1.2.14: the spaces may be ignored
		{"invalid/baddn", "400 header section without end"},   // 3.1.2.15, see TestTortureBadDN
		{"invalid/badvers", "505 unsupported SIP-Version"},    // 3.1.2.16
		{"invalid/mismatch01", "400 method mismatch in CSeq"}, // 3.1.2.17
		{"invalid/mismatch02", "400 method mismatch in CSeq"}, // 3.1.2.18: 400 or 501
		{"invalid/bigcode", "dropped"},                        // 3.1.2.19

		// 3.2: the branch is the cookie alone, so it identifies nothing.
		{"invalid/badbranch", "forwarded"},

		// 3.3: application layer.
		{"invalid/insuf", "400 missing Call-ID"},
		{"invalid/unkscm", "forwarded"},   // 416 if we are to resolve it
		{"invalid/novelsc", "forwarded"},  // 416 if we are to resolve it
		{"invalid/unksm2", "forwarded"},   // the registrar's to refuse
		{"invalid/bext01", "forwarded"},   // 420 for its Proxy-Require
		{"invalid/invut", "forwarded"},    // 415 is the end point's
		{"invalid/regaut01", "forwarded"}, // the registrar's to refuse
		{"invalid/multi01", "400 more than one Call-ID"},
		{"invalid/mcl01", "400 more than one Content-Length"},
		{"invalid/bcast", "forwarded"},  // the second Via is nobody's, once ours is popped
		{"invalid/zeromf", "forwarded"}, // 483
		{"invalid/cparam01", "forwarded"},
		{"invalid/cparam02", "forwarded"},
		{"invalid/regescrt", "forwarded"},
		{"invalid/sdp01", "forwarded"},

		// 3.4: an RFC 2543 client, no branch, no From tag, no Max-Forwards.
		{"invalid/inv2543", "forwarded"},

		// Not of the RFC: no version, no Via.
		{"invalid/test", "dropped"},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		seen[tt.file] = true
		t.Run(tt.file, func(t *testing.T) {
			if got := verdict(torture(t, tt.file)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for name := range tortureFiles(t) {
		if !seen[name] {
			t.Errorf("%s has no verdict", name)
		}
	}
}

// TestTortureBadDN judges 3.1.2.15 as the RFC has it, with its empty line: the
// display names are no tokens, which is nothing to a proxy.
func TestTortureBadDN(t *testing.T) {
	raw := append(torture(t, "invalid/baddn"), "\r\n"...)
	if got := verdict(raw); got != "forwarded" {
		t.Errorf("got %q", got)
	}
}

// TestTortureWhiteSpace reads wsinv (3.1.1.1), in which everything that may be
// folded or spaced is.
func TestTortureWhiteSpace(t *testing.T) {
	var m Message
	if err := Scan(torture(t, "valid/wsinv"), &m); err != nil {
		t.Fatal(err)
	}
	var branches []string
	for values := m.Values(Via); ; {
		v, _, ok := values.Next()
		if !ok {
			break
		}
		via, ok := ParseVia(v)
		if !ok {
			t.Errorf("cannot read Via %q", v)
		}
		branches = append(branches, string(via.Transport)+" "+string(via.Host)+" "+string(via.Branch))
	}
	want := "UDP 192.0.2.2 390skdjuw, TCP spindle.example.com z9hG4bK9ikj8, UDP 192.168.255.111 z9hG4bK30239"
	if got := strings.Join(branches, ", "); got != want {
		t.Errorf("Vias: got %s\nwant %s", got, want)
	}
	from, _ := m.Value(From)
	to, _ := m.Value(To)
	if got := string(Tag(from)) + " " + string(Tag(to)); got != "98asjd8 1918181833n" {
		t.Errorf("tags: got %s", got)
	}
	if n, method, ok := m.CSeqValue(); n != 9 || string(method) != "INVITE" || !ok {
		t.Errorf("CSeq: got %d %s %t", n, method, ok)
	}
	if got := m.Number(MaxForwards); got != 68 {
		t.Errorf("Max-Forwards: got %d", got)
	}
}

func TestTortureDoubleRequest(t *testing.T) {
	var m Message
	if err := Scan(torture(t, "valid/dblreq"), &m); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(m.Raw), "Content-Length: 0\r\n\r\n") {
		t.Errorf("the message ends with %q", m.Raw[len(m.Raw)-20:])
	}
}

func torture(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "torture", filepath.FromSlash(name)+".dat"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func tortureFiles(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/torture/*/*.dat")
	if err != nil || len(files) == 0 {
		t.Fatal("no torture messages", err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.ToSlash(f), ".dat")
		name = strings.TrimPrefix(name, "testdata/torture/")
		all[name] = torture(t, name)
	}
	return all
}
