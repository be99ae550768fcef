package proxy

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTorture lets every message of RFC 4475 come from the core, and says what
// becomes of it: the first line of what leaves, to the server or back. The rest of
// it is compared field by field. Package wire says why a form is refused, and where
// we forward what the RFC would have a user agent refuse.
func TestTorture(t *testing.T) {
	verdicts := map[string]string{
		"badaspec":   "OPTIONS sip:user@example.org SIP/2.0",
		"badbranch":  "OPTIONS sip:user@example.com SIP/2.0",
		"baddate":    "INVITE sip:user@example.com SIP/2.0",
		"baddn":      "SIP/2.0 400 Bad Request (header section without end)",
		"badinv01":   "INVITE sip:user@example.com SIP/2.0",
		"badvers":    "SIP/2.0 505 Version Not Supported",
		"bcast":      "dropped", // a response to nothing that we have sent, as the other four are
		"bext01":     "SIP/2.0 420 Bad Extension",
		"bigcode":    "dropped",
		"clerr":      "SIP/2.0 400 Bad Request (wrong Content-Length)",
		"cparam01":   "REGISTER sip:example.com SIP/2.0",
		"cparam02":   "REGISTER sip:example.com SIP/2.0",
		"dblreq":     "REGISTER sip:example.com SIP/2.0", // once
		"esc01":      "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0",
		"esc02":      "RE%47IST%45R sip:registrar.example.com SIP/2.0",
		"escnull":    "REGISTER sip:example.com SIP/2.0",
		"escruri":    "INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0",
		"insuf":      "SIP/2.0 400 Bad Request (missing Call-ID)",
		"intmeth":    "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
		"inv2543":    "INVITE sip:UserB@example.com SIP/2.0",
		"invut":      "INVITE sip:user@example.com SIP/2.0",
		"longreq":    "SIP/2.0 100 Trying, INVITE sip:user@example.com SIP/2.0", // large, so it leaves by TCP and has a record
		"ltgtruri":   "SIP/2.0 400 Bad Request (malformed Request-URI)",
		"lwsdisp":    "OPTIONS sip:user@example.com SIP/2.0",
		"lwsruri":    "SIP/2.0 400 Bad Request (malformed Request-URI)",
		"lwsstart":   "SIP/2.0 400 Bad Request (malformed Request-URI)",
		"mcl01":      "SIP/2.0 400 Bad Request (more than one Content-Length)",
		"mismatch01": "SIP/2.0 400 Bad Request (method mismatch in CSeq)",
		"mismatch02": "SIP/2.0 400 Bad Request (method mismatch in CSeq)",
		"mpart01":    "MESSAGE sip:kumiko@example.org SIP/2.0",
		"multi01":    "SIP/2.0 400 Bad Request (more than one Call-ID)",
		"ncl":        "SIP/2.0 400 Bad Request (malformed Content-Length)",
		"noreason":   "dropped",
		"novelsc":    "OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", // to the server, whatever its scheme: not for us to resolve
		"quotbal":    "INVITE sip:user@example.com SIP/2.0",
		"regaut01":   "REGISTER sip:example.com SIP/2.0",
		"regbadct":   "REGISTER sip:example.com SIP/2.0",
		"regescrt":   "REGISTER sip:example.com SIP/2.0",
		"scalar02":   "SIP/2.0 400 Bad Request (malformed CSeq)",
		"scalarlg":   "dropped",
		"sdp01":      "INVITE sip:user@example.com SIP/2.0",
		"semiuri":    "OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0",
		"test":       "dropped",
		"transports": "OPTIONS sip:user@example.com SIP/2.0",
		"trws":       "SIP/2.0 400 Bad Request (malformed Request-Line)",
		"unkscm":     "OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0",
		"unksm2":     "REGISTER sip:example.com SIP/2.0",
		"unreason":   "dropped",
		"wsinv":      "SIP/2.0 481 Call/Transaction Does Not Exist", // its To has a tag, and the server has named no host of its Route
		"zeromf":     "SIP/2.0 483 Too Many Hops",
	}
	messages := tortureFiles(t)
	for file, raw := range messages {
		t.Run(file, func(t *testing.T) {
			if got, want := tortured(t, raw), verdicts[file]; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	if len(messages) != len(verdicts) {
		t.Errorf("%d messages, %d verdicts", len(messages), len(verdicts))
	}
}

// tortured sends one message and gives the first lines of what leaves.
func tortured(t *testing.T, raw []byte) (verdict string) {
	t.Helper()
	var left leaving
	play(t, func(r *rig) {
		r.tap(&left)
		_, _ = r.core.conn.WriteTo(raw, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(coreSide)))
		r.pass(100 * time.Millisecond)
		left.gather()
		verdict = left.firstLines()
		for _, out := range left.sent {
			r.explained(out, raw)
		}
	}, func(c *Config) { c.Resolver = &someNames{} }, left.refused)
	return verdict
}

func (l *leaving) firstLines() string {
	var lines []string
	for _, out := range l.sent {
		line, _, _ := strings.Cut(string(out), "\r\n")
		lines = append(lines, line)
	}
	if lines == nil {
		return "dropped"
	}
	return strings.Join(lines, ", ")
}

// TestTortureResponses lets the server answer a request with each of the responses of
// RFC 4475. What is readable passes as it is.
func TestTortureResponses(t *testing.T) {
	messages := tortureFiles(t)
	for file, want := range map[string]string{
		"noreason": "SIP/2.0 100 ",
		"unreason": "SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe \xd1\x81\xd1\x82\xd0\xbe \xd0\xb4\xd0\xb5\xd0\xb2\xd1\x8f\xd0\xbd\xd0\xbe\xd1\x81\xd1\x82\xd0\xbe \xd0\xb4\xd0\xb5\xd0\xb2\xd1\x8f\xd1\x82\xd1\x8c - \xd0\xbf\xd1\x80\xd0\xbe\xd1\x81\xd1\x82\xd0\xbe\xd0\xb5",
		"bcast":    "SIP/2.0 200 OK",
		"scalarlg": "dropped", // a CSeq that no request has
		"bigcode":  "dropped",
	} {
		t.Run(file, func(t *testing.T) {
			var left leaving
			play(t, func(r *rig) {
				r.core.send(coreSide, request("OPTIONS", "sip:bob@ims.example", viaCore))
				_, rest, _ := strings.Cut(r.server.want("OPTIONS"), "\r\n")
				our, _, _ := strings.Cut(rest, "\r\n")
				line, fields, _ := strings.Cut(string(messages[file]), "\r\n")
				r.tap(&left)
				_, _ = r.server.conn.WriteTo([]byte(line+"\r\n"+our+"\r\n"+fields), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverSide)))
				r.pass(100 * time.Millisecond)
				if got := left.firstLines(); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if want != "dropped" && string(left.sent[0]) != string(messages[file]) {
					t.Errorf("it became %q", left.sent[0])
				}
			}, left.refused)
		})
	}
}

func tortureFiles(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("wire/testdata/torture/*/*.dat")
	if err != nil || len(files) < 50 {
		t.Fatal("no torture messages: ", err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		if all[strings.TrimSuffix(filepath.Base(file), ".dat")], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
