package wire

import (
	"strings"
	"testing"
)

func TestEdits(t *testing.T) {
	type edit struct {
		from, to int
		text     string
	}
	tests := []struct {
		name  string
		edits []edit
		want  string
	}{
		{"none", nil, "0123456789"},
		{"insert in front", []edit{{0, 0, "a"}}, "a0123456789"},
		{"insert at the end", []edit{{10, 10, "a"}}, "0123456789a"},
		{"delete", []edit{{2, 4, ""}}, "01456789"},
		{"delete all", []edit{{0, 10, ""}}, ""},
		{"replace", []edit{{2, 4, "ab"}}, "01ab456789"},
		{"any order", []edit{{8, 9, "b"}, {1, 2, "a"}, {5, 5, "x"}}, "0a234x567b9"},
		{"two inserts in the order of their adding", []edit{{5, 5, "a"}, {5, 5, "b"}}, "01234ab56789"},
		{"insert, then delete there", []edit{{5, 5, "a"}, {5, 7, ""}}, "01234a789"},
		{"delete, then insert there", []edit{{5, 7, ""}, {5, 5, "a"}}, "01234a789"},
		{"neighbours", []edit{{2, 4, "a"}, {4, 6, "b"}}, "01ab6789"},
		{"overlapping deletions", []edit{{2, 6, ""}, {4, 8, ""}}, "0189"},
		{"deletion in a deletion", []edit{{2, 8, ""}, {4, 6, ""}}, "0189"},
		{"the same deletion twice", []edit{{2, 8, ""}, {2, 8, ""}}, "0189"},
		{"insert in a deletion", []edit{{2, 8, ""}, {5, 5, "a"}}, "01a89"},
		{"insert behind a deletion", []edit{{2, 8, ""}, {8, 8, "a"}}, "01a89"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var e Edits
			for _, x := range tt.edits {
				e.Replace(x.from, x.to, []byte(x.text))
			}
			got := string(e.AppendTo([]byte(">"), []byte("0123456789")))
			if got != ">"+tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if e.Delta() != len(tt.want)-10 {
				t.Errorf("delta %d", e.Delta())
			}
			e.Reset()
			if got := string(e.AppendTo(nil, []byte("01"))); got != "01" || e.Delta() != 0 {
				t.Errorf("after Reset: %s", got)
			}
		})
	}
}

func TestEditsOverflow(t *testing.T) {
	var e Edits
	for range MaxEdits + 1 {
		e.Insert(0, []byte("x"))
	}
	if got := e.AppendTo(nil, []byte("y")); e.Room() != 0 || string(got) != strings.Repeat("x", MaxEdits)+"y" {
		t.Errorf("%q, room for %d", got, e.Room())
	}
	if e.Reset(); e.Room() != MaxEdits {
		t.Error("not forgotten")
	}
}

// edited is the header section of a message of scanned with its edits.
func edited(e *Edits, m *Message) string {
	s := string(e.AppendTo(nil, m.Raw))
	return strings.TrimSuffix(s[m.Head:], "\r\nbody")
}

func TestPop(t *testing.T) {
	tests := []struct {
		name, head string
		n, popped  int
		want       string
	}{
		{"nothing there", "To: x\r\n", 2, 0, "To: x\r\n"},
		{"nothing asked for", "Route: a\r\n", 0, 0, "Route: a\r\n"},
		{"one field each", "Route: a\r\nTo: x\r\nRoute: b\r\nRoute: c\r\n", 2, 2, "To: x\r\nRoute: c\r\n"},
		{"all in one field", "Route: a, b, c\r\n", 2, 2, "Route: c\r\n"},
		{"the whole field", "Route: a, b\r\nRoute: c\r\n", 2, 2, "Route: c\r\n"},
		{"field and a half", "Route: a\r\nRoute: b,\r\n c\r\n", 2, 2, "Route: c\r\n"},
		{"more than there are", "Route: a\r\nRoute: b, c\r\nTo: x\r\n", 9, 3, "To: x\r\n"},
		{"empty values", "Route: ,a,,b,c\r\n", 2, 2, "Route: c\r\n"},
		{"comma at the end", "Route: a,\r\nTo: x\r\n", 1, 1, "To: x\r\n"},
		{"odd spelling", "rOuTe  :<sip:a> \r\nTo: x\r\n", 1, 1, "To: x\r\n"},
		{"folded", "Route:\r\n <sip:a>\r\n ;x\r\nTo: x\r\n", 1, 1, "To: x\r\n"},
		{"folded behind the comma", "Route: <sip:a>,\r\n\t<sip:b>\r\nTo: x\r\n", 1, 1, "Route: <sip:b>\r\nTo: x\r\n"},
		{"comma in the value", "Route: \"x, y\" <sip:a,b@c>,<sip:d>\r\n", 1, 1, "Route: <sip:d>\r\n"},
		{"bare LF", "Route: <sip:a>\nTo: x\n", 1, 1, "To: x\n"},
		{"empty field in front", "Route:\r\nRoute: a\r\nTo: x\r\n", 1, 1, "To: x\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := scanned(t, tt.head)
			var e Edits
			if got := e.Pop(m, Route, tt.n); got != tt.popped {
				t.Errorf("popped %d", got)
			}
			if got := edited(&e, m); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
