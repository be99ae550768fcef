package wire

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"empty", "", []string{""}},
		{"one", "a", []string{"a"}},
		{"two", "a,b", []string{"a", "b"}},
		{"white space", " a \t,\r\n b ", []string{"a", "b"}},
		{"nothing between", "a,,b", []string{"a", "", "b"}},
		{"comma at the end", "a,", []string{"a", ""}},
		{"comma in front", ",a", []string{"", "a"}},
		{"comma in quotes", `"x, y" <sip:a>, <sip:b>`, []string{`"x, y" <sip:a>`, "<sip:b>"}},
		{"escaped quote", `"x\", y" <sip:a>, <sip:b>`, []string{`"x\", y" <sip:a>`, "<sip:b>"}},
		{"escaped backslash", `"x\\", y`, []string{`"x\\"`, "y"}},
		{"bracket in quotes", `"<" <sip:a>, <sip:b>`, []string{`"<" <sip:a>`, "<sip:b>"}},
		{"comma in brackets", "<sip:a,b@c>, <sip:d>", []string{"<sip:a,b@c>", "<sip:d>"}},
		{"quote in brackets", `<sip:a"b@c>, <sip:d>`, []string{`<sip:a"b@c>`, "<sip:d>"}},
		{"comma in a quoted parameter", `<sip:a>;x="1,2", <sip:b>`, []string{`<sip:a>;x="1,2"`, "<sip:b>"}},
		{"closing bracket alone", "a>, b", []string{"a>", "b"}},
		{"open quote", `a"b, c`, []string{`a"b, c`}},
		{"open quote behind a backslash", `a"b\`, []string{`a"b\`}},
		{"open bracket", "<sip:a, <sip:b", []string{"<sip:a, <sip:b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for v := []byte(tt.in); ; {
				first, next := Split(v)
				got = append(got, string(first))
				if next < 0 {
					break
				}
				v = v[next:]
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestValues(t *testing.T) {
	tests := []struct {
		name, head string
		want       []string
	}{
		{"none", "To: x\r\n", nil},
		{"one", "Route: a\r\n", []string{"a"}},
		{"several fields", "Route: a\r\nTo: x\r\nroute: b\r\n", []string{"a", "b"}},
		{"both ways", "Route: a, b\r\nRoute: c\r\nRoute: d,e\r\n", []string{"a", "b", "c", "d", "e"}},
		{"folded", "Route: a,\r\n b\r\n", []string{"a", "b"}},
		{"empty ones", "Route:\r\nRoute: ,a,,b,\r\nRoute:\r\n", []string{"a", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := scanned(t, tt.head)
			var got []string
			values := m.Values(Route)
			for v, _, ok := values.Next(); ok; v, _, ok = values.Next() {
				got = append(got, string(v))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if _, line, ok := values.Next(); ok || line != -1 {
				t.Error("the walk goes on behind its end")
			}
		})
	}
}

// scanned is a message with these header fields.
func scanned(t *testing.T, head string) *Message {
	t.Helper()
	var m Message
	if err := Scan([]byte("OPTIONS sip:a SIP/2.0\r\n"+head+"\r\nbody"), &m); err != nil {
		t.Fatal(err)
	}
	return &m
}

func TestAddress(t *testing.T) {
	tests := []struct{ name, in, uri, params string }{
		{"name-addr", "<sip:a@b>", "sip:a@b", ""},
		{"with parameter", "<sip:a@b>;tag=1", "sip:a@b", ";tag=1"},
		{"parameters in and out", "<sip:a@b;lr>;tag=1", "sip:a@b;lr", ";tag=1"},
		{"addr-spec", "sip:a@b", "sip:a@b", ""},
		{"addr-spec with parameter", "sip:a@b;tag=1", "sip:a@b", ";tag=1"},
		{"addr-spec with white space", " sip:a@b ; tag=1", "sip:a@b", "; tag=1"},
		{"tokens", "A B <sip:a@b>", "sip:a@b", ""},
		{"token at once", "caller<sip:a@b>", "sip:a@b", ""},
		{"quoted name", `"A" <sip:a@b>`, "sip:a@b", ""},
		{"bracket in quotes", `"<sip:x@y>" <sip:a@b>`, "sip:a@b", ""},
		{"escaped quote", `"\"<sip:x@y>" <sip:a@b>`, "sip:a@b", ""},
		{"semicolon in quotes", `"A; B" <sip:a@b>;tag=1`, "sip:a@b", ";tag=1"},
		{"comma in the name", "Bell, A <sip:a@b>", "sip:a@b", ""},
		{"white space in the brackets", "< sip:a@b >", "sip:a@b", ""},
		{"folded", "<sip:a@b>\r\n ;\r\n tag = 1", "sip:a@b", "\r\n ;\r\n tag = 1"},
		{"bracket in a parameter", "sip:a@b;x=<sip:c@d>", "sip:a@b", ";x=<sip:c@d>"},
		{"everyone", "*", "*", ""},
		{"empty", "", "", ""},
		{"empty brackets", "<>", "", ""},
		{"open quote", `"A <sip:a@b>`, "", ""},
		{"open bracket", "<sip:a@b", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			uri, params, at := Address([]byte(tt.in))
			if string(uri) != tt.uri || string(params) != tt.params {
				t.Errorf("got %q and %q", uri, params)
			}
			if tt.in[at:at+len(uri)] != tt.uri {
				t.Errorf("the URI is not at %d", at)
			}
		})
	}
}

func TestParam(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"none", "", "absent"},
		{"first", ";tag=1", "1"},
		{"later", ";a=b;tag=1", "1"},
		{"odd case", ";TaG=1", "1"},
		{"white space", " ;\r\n  tag\t=  1 ", "1"},
		{"without value", ";tag", ""},
		{"without value, later ones", ";tag;a=b", ""},
		{"empty value", ";tag=;a=b", ""},
		{"the first of two", ";tag=1;tag=2", "1"},
		{"longer name", ";tagged=1", "absent"},
		{"shorter name", ";ta=1", "absent"},
		{"in another's value", ";a=tag;b=\";tag=1\"", "absent"},
		{"quoted", `;tag="a;b"`, `"a;b"`},
		{"escaped quote", `;a="\";tag=0";tag=1`, "1"},
		{"equals sign in the value", ";tag=a=b", "a=b"},
		{"empty ones", ";;; ;tag=1;", "1"},
		{"no name", ";=1;tag=1", "1"},
		{"open quote", `;a="b;tag=1`, "absent"},
		{"semicolon missing", "tag=1", "1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, ok := Param([]byte(tt.in), "tag")
			got := string(v)
			if !ok {
				got = "absent"
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTag(t *testing.T) {
	for in, want := range map[string]string{
		"<sip:a@b>;tag=1":         "1",
		"sip:a@b;tag=1":           "1",
		"<sip:a@b;tag=2>":         "",
		`"x;tag=3" <sip:a>;tag=1`: "1",
		`"x <sip:a>;tag=1`:        "",
	} {
		if got := string(Tag([]byte(in))); got != want {
			t.Errorf("%s: got %q", in, got)
		}
	}
}

// TestValuesWith gives the values with a mark in them, as a walk over all of them does.
func TestValuesWith(t *testing.T) {
	parts := []string{"a", "xMARKy", "MARK", "\"q,MARK\"", "<MARK,b>", "", "MAR", "K"}
	for i := range 2000 {
		text := "OPTIONS sip:x SIP/2.0\r\n"
		for n := i; n > 0; n /= 16 {
			text += map[bool]string{true: ",", false: "\r\nVia: "}[n%16 >= 8 && n != i] + parts[n%8]
			if n == i {
				text = strings.Replace(text, "SIP/2.0\r\n\r\n", "SIP/2.0\r\n", 1)
			}
		}
		var m Message
		if Scan([]byte(text+"\r\n\r\n"), &m) != nil {
			continue
		}
		var want, got []string
		for values := m.Values(Via); ; {
			v, _, ok := values.Next()
			if !ok {
				break
			}
			if strings.Contains(string(v), "MARK") {
				want = append(want, string(v))
			}
		}
		m.ValuesWith(Via, []byte("MARK"), func(v []byte) bool {
			if strings.Contains(string(v), "MARK") {
				got = append(got, string(v))
			}
			return true
		})
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
	}
}
