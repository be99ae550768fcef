package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// fields is a header section that passes Check, without start line and end.
const fields = "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: c\r\n"

func TestScanStartLine(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"request", "NOTIFY sip:a@b SIP/2.0", "NOTIFY sip:a@b"},
		{"version in lower case", "NOTIFY sip:a@b sip/2.0", "NOTIFY sip:a@b"},
		{"extension method", "X-%!.~ sip:a@b SIP/2.0", "X-%!.~ sip:a@b"},
		{"other scheme", "OPTIONS tel:+1 SIP/2.0", "OPTIONS tel:+1"},
		{"bytes beyond ASCII in the URI", "OPTIONS sip:\xc3\xa4@b SIP/2.0", "OPTIONS sip:\xc3\xa4@b"},
		{"response", "SIP/2.0 200 OK", "200 OK"},
		{"several words", "SIP/2.0 481 Subscription Does Not Exist", "481 Subscription Does Not Exist"},
		{"empty reason", "SIP/2.0 100 ", "100 "},
		{"no reason at all", "SIP/2.0 100", "100 "},

		{"empty", "", "not a SIP message"},
		{"code too small", "SIP/2.0 099 X", "not a SIP message"},
		{"code too great", "SIP/2.0 700 X", "not a SIP message"},
		{"code too long", "SIP/2.0 4294967301 X", "not a SIP message"},
		{"code no number", "SIP/2.0 2x0 X", "not a SIP message"},
		{"nothing behind the version", "SIP/2.0 ", "not a SIP message"},
		{"method no token", "NOT{IFY sip:a@b SIP/2.0", "not a SIP message"},
		{"space in front", " NOTIFY sip:a@b SIP/2.0", "not a SIP message"},
		{"other protocol", "GET / HTTP/1.1", "malformed Request-Line"},
		{"no version", "NOTIFY sip:a@b", "malformed Request-Line"},
		{"space at the end", "NOTIFY sip:a@b SIP/2.0 ", "malformed Request-Line"},
		{"other version", "NOTIFY sip:a@b SIP/3.0", "unsupported SIP-Version"},
		{"two spaces", "NOTIFY  sip:a@b SIP/2.0", "malformed Request-URI"},
		{"no URI", "NOTIFY  SIP/2.0", "malformed Request-URI"},
		{"brackets", "NOTIFY <sip:a@b> SIP/2.0", "malformed Request-URI"},
		{"tab in the URI", "NOTIFY sip:a\t@b SIP/2.0", "malformed Request-URI"},
		{"carriage return in the URI", "NOTIFY sip:a@b\rVia: SIP/2.0", "malformed Request-URI"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m Message
			err := Scan([]byte(tt.line+"\r\n"+fields+"\r\n"), &m)
			got := fmt.Sprintf("%d %s", m.Status, m.Reason)
			if m.Request {
				got = fmt.Sprintf("%s %s", m.Method, m.URI)
			}
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if isHeaderError(err) && m.Count(Via) != 1 {
				t.Error("the Via that the answer needs was not read")
			}
		})
	}
}

func TestScanFields(t *testing.T) {
	tests := []struct{ name, head, want string }{
		{"plain", "Route: <sip:a>\r\n", "Route=<sip:a>"},
		{"odd case", "rOUTE: <sip:a>\r\n", "Route=<sip:a>"},
		{"white space in front of the colon", "Route \t : <sip:a>\r\n", "Route=<sip:a>"},
		{"no white space", "Route:<sip:a>\r\n", "Route=<sip:a>"},
		{"white space at the end", "Route: <sip:a> \t\r\n", "Route=<sip:a>"},
		{"empty", "Route:\r\n", "Route="},
		{"bare LF", "Route: <sip:a>\nTo: b\n", "Route=<sip:a> To=b"},
		{"folded", "Route:\r\n <sip:a>,\r\n\t<sip:b>\r\nTo: b\r\n", "Route=<sip:a>,\r\n\t<sip:b> To=b"},
		{"folded by bare LF", "Route:\n <sip:a>\nTo: b\n", "Route=<sip:a> To=b"},
		{"folded into nothing", "Route: <sip:a>\r\n \r\nTo: b\r\n", "Route=<sip:a> To=b"},
		{"folded in front of the colon", "Route\r\n : <sip:a>\r\n", "Other="},
		{"compact", "v: 1\r\nf: 2\r\nt: 3\r\ni: 4\r\nm: 5\r\no: 7\r\nl: 0\r\n", "Via=1 From=2 To=3 Call-ID=4 Contact=5 Event=7 Content-Length=0"},
		{"compact of no interest", "s: 1\r\nk: 2\r\n", "Other=1 Other=2"},
		{"all names", "Record-Route: 1\r\nMax-Forwards: 2\r\nCSeq: 3\r\nSubscription-State: 4\r\nExpires: 5\r\n" +
			"Retry-After: 6\r\nProxy-Require: 7\r\nP-Asserted-Identity: 8\r\n", "Record-Route=1 Max-Forwards=2 CSeq=3 " +
			"Subscription-State=4 Expires=5 Retry-After=6 Proxy-Require=7 P-Asserted-Identity=8"},
		{"near misses", "Vib: 1\r\nXoute: 2\r\nCxntent-Length: 0\r\nReserved-Xxe: 4\r\n", "Other=1 Other=2 Other=0 Other=4"},
		{"escaped name", "C%6Fntact: 1\r\n", "Other=1"},
		{"no colon", "Foobar roobar\r\nTo: b\r\n", "Other= To=b"},
		{"no name", ": x\r\nTo: b\r\n", "Other= To=b"},
		{"colons in the value", "To: a:b:c\r\n", "To=a:b:c"},
		{"carriage return alone is text", "To: a\rVia: b\r\n", "To=a\rVia: b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m Message
			if err := Scan([]byte("OPTIONS sip:a SIP/2.0\r\n"+tt.head+"\r\n"), &m); err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, l := range m.Lines {
				got = append(got, l.Name.String()+"="+string(m.At(i)))
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestScanFrame(t *testing.T) {
	tests := []struct{ name, rest, body, fault string }{
		{"no length", "\r\nbody", "body", ""},
		{"length", "l: 4\r\n\r\nbody", "body", ""},
		{"more than the length", "l: 4\r\n\r\nbodyOPTIONS", "body", ""},
		{"leading zeros", "l: 00000000000000000004\r\n\r\nbody", "body", ""},
		{"bare LF", "l: 4\n\nbody", "body", ""},
		{"less than the length", "l: 5\r\n\r\nbody", "", "wrong Content-Length"},
		{"negative", "l: -4\r\n\r\nbody", "", "malformed Content-Length"},
		{"no number", "l: 4x\r\n\r\nbody", "", "malformed Content-Length"},
		{"empty", "l:\r\n\r\nbody", "", "malformed Content-Length"},
		{"overflowing", "l: 18446744073709551620\r\n\r\nbody", "", "malformed Content-Length"},
		{"above 32 bits", "l: 4294967300\r\n\r\nbody", "", "wrong Content-Length"},
		{"two that differ", "l: 4\r\nContent-Length: 0\r\n\r\nbody", "", "more than one Content-Length"},
		{"two alike", "l: 4\r\nl: 4\r\n\r\nbody", "", "more than one Content-Length"},
		{"no empty line", "l: 0\r\n", "", "header section without end"},
		{"cut within a line", "l: 0", "", "header section without end"},
		{"cut within a fold", "l: 0\r\n x", "", "header section without end"},
		{"cut within the empty line", "l: 0\r\n\r", "", "header section without end"},
		{"nothing", "", "", "header section without end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m Message
			err := Scan([]byte("OPTIONS sip:a SIP/2.0\r\n"+tt.rest), &m)
			if fault(err) != tt.fault {
				t.Fatalf("got %v, want %q", err, tt.fault)
			}
			if err == nil && string(m.Raw[m.Body:]) != tt.body {
				t.Errorf("body %q", m.Raw[m.Body:])
			}
		})
	}
}

func fault(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestScanFoldedStartLine: a Via put in front of the first field would take a
// line for its own that begins with white space.
func TestScanFoldedStartLine(t *testing.T) {
	for start, want := range map[string]string{
		"OPTIONS sip:a SIP/2.0": "malformed Request-Line",
		"SIP/2.0 200 OK":        "malformed Status-Line",
	} {
		var m Message
		if err := Scan([]byte(start+"\r\n Route: <sip:a>\r\n"+fields+"\r\n"), &m); fault(err) != want {
			t.Errorf("%s: %v", start, err)
		}
	}
}

func TestScanTooMany(t *testing.T) {
	for _, tt := range []struct {
		name, lines string
		want        error
	}{
		{"at the limit", strings.Repeat("X: y\r\n", MaxLines), nil},
		{"one too many", strings.Repeat("X: y\r\n", MaxLines+1), ErrTooMany},
		{"folds count", "X: y\r\n" + strings.Repeat(" z\r\n", MaxLines+1) + "X: y\r\n", ErrTooMany},
		{"60000 lines", strings.Repeat("X\n", 60000), ErrTooMany},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m Message
			if err := Scan([]byte("OPTIONS sip:a SIP/2.0\r\n"+tt.lines+"\r\n"), &m); !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
			if cap(m.Lines) > 2*MaxLines {
				t.Errorf("room for %d lines was made", cap(m.Lines))
			}
		})
	}
}

func TestScanAgain(t *testing.T) {
	var m Message
	if err := Scan(notify, &m); err != nil {
		t.Fatal(err)
	}
	if err := Scan([]byte("SIP/2.0 200 OK\r\nl: 0\r\n\r\n"), &m); err != nil {
		t.Fatal(err)
	}
	if m.Request || m.Method != nil || m.URI != nil || len(m.Lines) != 1 || m.Count(Via) != 0 || m.First(Via) != -1 {
		t.Errorf("the message before shows through: %+v", m)
	}
}

// TestNames keeps the promise by which nameOf works.
func TestNames(t *testing.T) {
	for n := Other + 1; n < names; n++ {
		for _, s := range []string{n.String(), strings.ToLower(n.String()), strings.ToUpper(n.String())} {
			if got := nameOf([]byte(s)); got != n {
				t.Errorf("%s is %v", s, got)
			}
		}
	}
	if Other.String() != "Other" || names.String() != "Other" {
		t.Error("Other has a name")
	}
}

func TestCheck(t *testing.T) {
	tests := []struct{ name, head, want string }{
		{"sound", fields + "CSeq: 1 NOTIFY\r\n", ""},
		{"folded CSeq", fields + "CSeq: 1\r\n NOTIFY\r\n", ""},
		{"greatest CSeq", fields + "CSeq: 4294967295 NOTIFY\r\n", ""},
		{"Max-Forwards", fields + "CSeq: 1 NOTIFY\r\nMax-Forwards: 0070\r\n", ""},
		{"no Via", "From: a\r\nTo: b\r\nCall-ID: c\r\nCSeq: 1 NOTIFY\r\n", "missing Via"},
		{"no Call-ID", "Via: a\r\nFrom: a\r\nTo: b\r\nCSeq: 1 NOTIFY\r\n", "missing Call-ID"},
		{"no From", "Via: a\r\nTo: b\r\nCall-ID: c\r\nCSeq: 1 NOTIFY\r\n", "missing From"},
		{"no To", "Via: a\r\nFrom: b\r\nCall-ID: c\r\nCSeq: 1 NOTIFY\r\n", "missing To"},
		{"no CSeq", fields, "missing CSeq"},
		{"empty Call-ID", "Via: a\r\nFrom: a\r\nTo: b\r\nCall-ID:  \r\nCSeq: 1 NOTIFY\r\n", "empty Call-ID"},
		{"two Call-IDs, one compact", fields + "CSeq: 1 NOTIFY\r\ni: d\r\n", "more than one Call-ID"},
		{"two Tos", fields + "CSeq: 1 NOTIFY\r\nt: d\r\n", "more than one To"},
		{"other method", fields + "CSeq: 1 INVITE\r\n", "method mismatch in CSeq"},
		{"method in lower case", fields + "CSeq: 1 notify\r\n", "method mismatch in CSeq"},
		{"CSeq too great", fields + "CSeq: 4294967296 NOTIFY\r\n", "malformed CSeq"},
		{"CSeq without method", fields + "CSeq: 1\r\n", "malformed CSeq"},
		{"CSeq without number", fields + "CSeq: NOTIFY\r\n", "malformed CSeq"},
		{"CSeq without space", fields + "CSeq: 1NOTIFY\r\n", "malformed CSeq"},
		{"CSeq with more", fields + "CSeq: 1 NOTIFY x\r\n", "malformed CSeq"},
		{"Max-Forwards too great", fields + "CSeq: 1 NOTIFY\r\nMax-Forwards: 256\r\n", "malformed Max-Forwards"},
		{"Max-Forwards no number", fields + "CSeq: 1 NOTIFY\r\nMax-Forwards: -1\r\n", "malformed Max-Forwards"},
		{"two Max-Forwards", fields + "CSeq: 1 NOTIFY\r\nMax-Forwards: 1\r\nMax-Forwards: 1\r\n", "more than one Max-Forwards"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m Message
			if err := Scan([]byte("NOTIFY sip:a@b SIP/2.0\r\n"+tt.head+"\r\n"), &m); err != nil {
				t.Fatal(err)
			}
			if got := fault(m.Check()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHeaderErrorStatus(t *testing.T) {
	if got := (&HeaderError{unsupported, "SIP-Version"}).Status(); got != 505 {
		t.Errorf("got %d", got)
	}
	if got := (&HeaderError{"missing", "To"}).Status(); got != 400 {
		t.Errorf("got %d", got)
	}
}

func TestNumber(t *testing.T) {
	tests := []struct {
		name, value string
		want        int
	}{
		{"plain", "3600", 3600},
		{"nought", "0", 0},
		{"parameter", "120;duration=60", 120},
		{"comment", "18000 (in a meeting)", 18000},
		{"comment at once", "5(x)", 5},
		{"too great for an int32", "4294967295", 1<<31 - 1},
		{"too great for anything", strings.Repeat("9", 100), 1<<31 - 1},
		{"empty", "", -1},
		{"negative", "-1", -1},
		{"date", "Thu, 01 Dec 1994 16:00:00 GMT", -1},
		{"fraction", "1.5", -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m Message
			if err := Scan([]byte("OPTIONS sip:a SIP/2.0\r\nExpires: "+tt.value+"\r\n\r\n"), &m); err != nil {
				t.Fatal(err)
			}
			if got := m.Number(Expires); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
			if got := m.Number(RetryAfter); got != -1 {
				t.Errorf("absent: got %d", got)
			}
		})
	}
}

func TestUint(t *testing.T) {
	for s, want := range map[string]string{
		"0": "0", "007": "7", "999999999999": "999999999999", "1000000000000": "", "": "", "1a": "", " 1": "",
		"0000000000000000000000000000012": "12", "18446744073709551617": "",
	} {
		n, ok := Uint([]byte(s))
		if got := strconv.FormatUint(n, 10); (ok && got != want) || (!ok && want != "") {
			t.Errorf("%q: %d %t, want %q", s, n, ok, want)
		}
	}
}

// TestAllocations: the way of a NOTIFY through the package costs no memory.
func TestAllocations(t *testing.T) {
	var (
		m   Message
		e   Edits
		out = make([]byte, 0, 2048)
		via = []byte("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKrw\r\n")
	)
	way := func() {
		if Scan(notify, &m) != nil || m.Check() != nil {
			t.Fatal("not accepted")
		}
		values := m.Values(Via)
		top, _, _ := values.Next()
		if _, ok := ParseVia(top); !ok {
			t.Fatal("Via not read")
		}
		route, _ := m.Value(Route)
		uri, _, _ := Address(route)
		if _, ok := ParseURI(uri); !ok {
			t.Fatal("Route not read")
		}
		e.Reset()
		e.Insert(m.Lines[m.First(Via)].Start, via)
		e.Pop(&m, Route, 2)
		out = e.AppendTo(out[:0], m.Raw)
	}
	if n := testing.AllocsPerRun(100, way); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
