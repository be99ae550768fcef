package aor

import (
	"strings"
	"testing"
)

func TestCanonicalAOR(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "sip:alice@ims.example", "sip:alice@ims.example"},
		{"host and scheme in lower case", "SIP:Alice@IMS.Example", "sip:Alice@ims.example"},
		{"parameters", "sip:alice@ims.example;user=phone;ob", "sip:alice@ims.example"},
		{"headers", "sip:alice@ims.example?subject=x", "sip:alice@ims.example"},
		{"default port", "sip:alice@ims.example:5060", "sip:alice@ims.example"},
		{"default port of sips", "sips:alice@ims.example:5061", "sips:alice@ims.example"},
		{"other port", "sip:alice@10.0.0.1:05070;x", "sip:alice@10.0.0.1:5070"},
		{"sips is its own", "sips:alice@ims.example:5060", "sips:alice@ims.example:5060"},
		{"password", "sip:alice:secret@ims.example", "sip:alice@ims.example"},
		{"no user", "sip:ims.example:5060;lr", "sip:ims.example"},
		{"needless escapes", "sip:%61lice%2d1@ims.example", "sip:alice-1@ims.example"},
		{"needed escapes", "sip:a%2fb%3bc@ims.example", "sip:a%2Fb%3Bc@ims.example"},
		{"UTF-8", "sip:jos\xc3\xa9@ims.example", "sip:jos%C3%A9@ims.example"},
		{"parameter in the user part", "sip:+1555;phone-context=x@ims.example;user=phone", "sip:+1555;phone-context=x@ims.example"},
		{"IPv6", "sip:alice@[2001:DB8::1]:5060", "sip:alice@[2001:db8::1]"},
		{"trailing dot", "sip:alice@ims.example.", "sip:alice@ims.example"},
		{"space around", " sip:alice@ims.example ", "sip:alice@ims.example"},
		{"tel", "tel:+1-(212).555-0100;ext=7", "tel:+12125550100"},
		{"TEL", "TEL:+15550100", "tel:+15550100"},
		{"local tel", "tel:7042;x=y;phone-context=Example.COM", "tel:7042;phone-context=example.com"},
		{"local tel without context", "tel:*21#", "tel:*21#"},
		{"pres", "pres:bob@Example.com", "pres:bob@example.com"},

		{"empty", "", ""},
		{"no scheme", "alice@ims.example", ""},
		{"nothing", "sip:", ""},
		{"no host", "sip:alice@", ""},
		{"empty user", "sip:@ims.example", ""},
		{"two hosts", "sip:alice@ims.example;x=@evil.example", ""},
		{"bad escape", "sip:ali%zz@ims.example", ""},
		{"short escape", "sip:ali%6@ims.example", ""},
		{"bad port", "sip:alice@ims.example:99999", ""},
		{"signed port", "sip:alice@ims.example:+5060", ""},
		{"line break", "sip:al\r\nice@ims.example", ""},
		{"bracket", "sip:alice>@ims.example", ""},
		{"broken IPv6", "sip:alice@[::1", ""},
		{"letters in tel", "tel:+1555ABC", ""},
		{"empty tel", "tel:+", ""},
		{"too long", "sip:" + strings.Repeat("a", 1100) + "@ims.example", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Canonical(tt.in)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

// FuzzCanonicalAOR: the canonical form is its own, and fit for a header.
func FuzzCanonicalAOR(f *testing.F) {
	for _, seed := range []string{
		"sip:alice@ims.example", "sips:%61:x@[::1]:5061;p?h", "tel:+1-2;phone-context=+1", "tel:0;phone-context=(x)",
		"pres:a%2Fb@c:1", "sip:a;b=%40c@d.", "x:y", "sip:..", "sip:%7f@h", "sip:a;b?c@d:5060;x=y?z", "sip:d:50601", "sip:a@d;x ", "sip:a@d;x=@",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, uri []byte) {
		first, ok := Canonical(uri)
		if any, sound := appendAny(nil, uri); sound != ok || ok && string(any) != first {
			t.Fatalf("%q gives %q, the long way %q %t", uri, first, any, sound)
		}
		if !ok {
			return
		}
		if strings.ContainsFunc(first, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Fatalf("%q gives %q", uri, first)
		}
		if len(first) > MaxURI {
			return // escapes have made it longer than is read again
		}
		second, ok := Canonical(first)
		if !ok || first != second {
			t.Fatalf("%q gives %q gives %q", uri, first, second)
		}
	})
}

// BenchmarkAppend is the canonical form of what nearly every message has, and of another
// spelling of it.
func BenchmarkAppend(b *testing.B) {
	for name, uri := range map[string]string{"usual": "sip:alice1234@ims.example;user=phone", "other": "SIP:alice1234@IMS.example;user=phone"} {
		b.Run(name, func(b *testing.B) {
			var scratch [MaxScratch]byte
			in := []byte(uri)
			for b.Loop() {
				if _, ok := Append(scratch[:0], in); !ok {
					b.Fatal(uri)
				}
			}
		})
	}
}
