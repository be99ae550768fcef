package wire

import (
	"strings"
	"testing"
)

func TestFrame(t *testing.T) {
	const start = "OPTIONS sip:a SIP/2.0\r\n"
	tests := []struct {
		name, in string
		skip, n  int
		fault    string
	}{
		{"nothing", "", 0, 0, ""},
		{"ping", "\r\n\r\n", 4, 0, ""},
		{"half a ping", "\r", 1, 0, ""},
		{"a piece of a start line", "OPTI", 0, 0, ""},
		{"no empty line yet", start + "l: 0\r\n", 0, 0, ""},
		{"half an empty line", start + "l: 0\r\n\r", 0, 0, ""},
		{"no body", start + "l: 0\r\n\r\n", 0, 31, ""},
		{"no length", start + "\r\nOPTIONS", 0, 25, ""},
		{"body", start + "l: 4\r\n\r\nbodyOPTIONS", 0, 35, ""},
		{"body to come", start + "l: 4\r\n\r\nbo", 0, 35, ""},
		{"empty lines in front", "\r\n\r\n\n" + start + "l: 0\r\n\r\n", 5, 31, ""},
		{"bare LF", "OPTIONS sip:a SIP/2.0\nl: 4\n\nbody", 0, 32, ""},
		{"folded length", start + "Content-Length:\r\n 4\r\n\r\nbody", 0, 50, ""},
		{"twice the same length", start + "l: 4\r\nl: 4\r\n\r\nbody", 0, 41, ""},
		{"two lengths, of which one fits", start + "l: 4\r\nl: 0\r\n\r\nbody", 0, 41, ""},
		{"two lengths in front of a message", start + "l: 4\r\nl: 0\r\n\r\n" + start, 0, 37, ""},
		{"two lengths, and a message for a body", start + "l: 23\r\nl: 0\r\n\r\n" + start + start, 0, 61, ""},
		{"two lengths that do not fit", start + "l: 4\r\nl: 2\r\n\r\n" + start, 0, 0, "more than one Content-Length"},
		{"two lengths, and more to come", start + "l: 400\r\nl: 200\r\n\r\n", 0, 0, "more than one Content-Length"},
		{"five lengths", start + "l: 0\r\nl: 1\r\nl: 2\r\nl: 3\r\nl: 4\r\n\r\n", 0, 0, "more than one Content-Length"},
		{"negative length", start + "l: -1\r\n\r\n", 0, 0, "malformed Content-Length"},
		{"huge length", start + "l: 99999999999\r\n\r\n", 0, 0, "malformed Content-Length"},
		{"a start line that is not ASCII", "OPTIONS sip:\xc3\xa4@b", 0, 0, ""},
		{"a version", "SIP/2.0 200", 0, 0, ""},
		{"HTTP", "\"GET\" / HTTP", 0, 0, "not a SIP message"},
		{"TLS", "\x16\x03\x01\x02\x00\x01", 0, 0, "not a SIP message"},
		{"more lines than Scan takes", start + strings.Repeat("x\n", MaxLines+1) + "l: 4\n\nbody", 0, 2083, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			skip, n, err := FrameFrom([]byte(tt.in), 0)
			if skip != tt.skip || n != tt.n || fault(err) != tt.fault {
				t.Errorf("got %d, %d, %v", skip, n, err)
			}
			if skip > 0 {
				return
			}
			for seen := range tt.in { // as long as nothing was found in it
				if _, before, bad := FrameFrom([]byte(tt.in[:seen]), 0); before > 0 || bad != nil {
					break
				}
				if s, again, bad := FrameFrom([]byte(tt.in), seen); s != skip || again != n || fault(bad) != tt.fault {
					t.Fatalf("from %d on: %d, %d, %v", seen, s, again, bad)
				}
			}
		})
	}
}

func TestAppendRange(t *testing.T) {
	var e Edits
	e.Insert(0, []byte("a"))
	e.Insert(3, []byte("b"))
	e.Replace(4, 6, []byte("c"))
	e.Delete(8, 10)
	raw := []byte("0123456789")
	for _, tt := range []struct {
		name     string
		from, to int
		want     string
	}{
		{"all", 0, 10, "a012b3c67"},
		{"up to an insertion", 0, 3, "a012"},
		{"from an insertion on", 3, 8, "b3c67"},
		{"across a replacement", 5, 8, "567"},
		{"nothing", 7, 7, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(e.AppendRange(nil, raw, tt.from, tt.to)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
