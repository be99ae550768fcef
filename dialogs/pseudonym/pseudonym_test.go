package pseudonym

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

const key = "0123456789abcdef"

// However a user is spelt, the pseudonym is the same; another key or user has another.
func TestOf(t *testing.T) {
	m := New(key)
	want := m.Of("sip:alice@ims.example")
	if len(want) != len(prefix)+2*length || !strings.HasPrefix(want, prefix) {
		t.Errorf("%s", want)
	}
	for _, same := range []string{"sip:alice@IMS.example", "SIP:alice@ims.example;user=phone"} {
		if got := m.Of(same); got != want {
			t.Errorf("%s is %s, want %s", same, got, want)
		}
	}
	if m.Of("sip:bob@ims.example") == want || New(key+"x").Of("sip:alice@ims.example") == want {
		t.Error("two users or two keys have one pseudonym")
	}
	if New("") != nil || New("").Of("sip:a@b") != "sip:a@b" || New("").In("sip:a@b") != "sip:a@b" {
		t.Error("without a key something is changed")
	}
}

// No address of a user is left in a text, and what names a machine stays.
func TestIn(t *testing.T) {
	m := New(key)
	a, b, n := m.Of("sip:alice@ims.example"), m.Of("sip:bob@ims.example"), m.Of("tel:+4930123")
	for text, want := range map[string]string{
		`{"watcher":"sip:alice@ims.example","n":1}`:              `{"watcher":"` + a + `","n":1}`,
		"lost: presence of sip:bob@ims.example, and 2 more":      "lost: presence of " + b + ", and 2 more",
		"<sip:alice@ims.example>;tag=1 to sips:bob@ims.example.": "<" + a + ">;tag=1 to " + m.Of("sips:bob@ims.example") + ".",
		"sip:alice@ims.example;gr=urn:uuid:1 (no answer)":        a + " (no answer)",
		"tel:+4930123;phone-context=x called":                    n + " called",
		"impu/sip%3Aalice%40ims.example: refused":                "impu/" + a + ": refused",
		"SIP:alice@IMS.example":                                  a,
		"server sip:10.0.0.7:5060;transport=udp is down":         "server sip:10.0.0.7:5060;transport=udp is down",
		"sip:[::1]:5060 and sip:ims.example":                     "sip:[::1]:5060 and sip:ims.example",
		"a telling sipgo line":                                   "a telling sipgo line",
	} {
		if got := m.In(text); got != want {
			t.Errorf("%s\nis   %s\nwant %s", text, got, want)
		}
	}
}

// A log keeps its form and has no address.
func TestWriter(t *testing.T) {
	var out bytes.Buffer
	m := New(key)
	log := zerolog.New(m.Writer(&out))
	log.Info().Str("watcher", "sip:alice@ims.example").AnErr("error", errors.New(`no way to "sip:alice@ims.example"`)).Msg("x")
	text := out.String()
	if strings.Contains(text, "alice") || strings.Count(text, m.Of("sip:alice@ims.example")) != 2 || !strings.HasSuffix(text, "\n") {
		t.Errorf("%s", text)
	}
	if w := New("").Writer(&out); w != &out {
		t.Error("without a key there is a writer between")
	}
	if _, err := m.Writer(broken{}).Write([]byte("x\n")); err == nil {
		t.Error("an error is lost")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("closed") }

func FuzzIn(f *testing.F) {
	f.Add("alice", "ims.example", ";x=y")
	f.Fuzz(func(t *testing.T, user, host, tail string) {
		text := New(key).In("from <sip:" + user + "@" + host + ">" + tail)
		again := New(key).In(text)
		if again != text {
			t.Fatalf("%q became %q", text, again)
		}
	})
}
