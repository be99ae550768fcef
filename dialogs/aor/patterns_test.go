package aor

import (
	"path"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, aor string
		want         bool
	}{
		{"*", "sip:alice@ims.example", true},
		{"*", "tel:+4930123", true},
		{"sip:*@ims.example", "sip:alice@ims.example", true},
		{"sip:*@ims.example", "sip:alice@other.example", false},
		{"sip:*@ims.example", "sip:alice@ims.example:5090", false},
		{"sip:*@IMS.Example", "sip:alice@ims.example", true},
		{"SIP:*@ims.example", "sip:alice@ims.example", true},
		{"sip:Alice@ims.example", "sip:alice@ims.example", false},
		{"sip:alice@ims.example", "sip:alice@ims.example", true},
		{"sip:alice@ims.example", "sip:alice@ims.example2", false},
		{"*@ims.example", "sips:alice@ims.example", true},
		{"tel:+49*", "tel:+4930123", true},
		{"tel:+49*", "tel:+4330123", false},
		{"sip:10?@pbx", "sip:101@pbx", true},
		{"sip:10?@pbx", "sip:1011@pbx", false},
		{"sip:*9*@*", "sip:191@x", true},
		{"sip:*[1]*@*", "sip:191@x", false},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil || p.Matches(c.aor) != c.want {
			t.Errorf("%s, %s: %v, %v", c.pattern, c.aor, !c.want, err)
		}
	}
	for _, wrong := range []string{"", "alice@ims.example", "sip:", ":x", "sip:a b@x", "<sip:a@b>"} {
		if p, err := ParsePattern(wrong); err == nil {
			t.Errorf("%q is %q", wrong, p)
		}
	}
	if (Patterns{}).Match("sip:a@b") || !(Patterns{"tel:*", "sip:a@b"}).Match("sip:a@b") {
		t.Error("a list is not what its patterns are")
	}
}

// A pattern means what the one of package path does, where no slash is.
func TestPatternsAreThoseOfPath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*?]{0,8}`).Draw(t, "pattern")
		aor := rapid.StringMatching(`[ab]{0,10}`).Draw(t, "aor")
		want, err := path.Match(pattern, aor)
		if err != nil || Pattern(pattern).Matches(aor) != want {
			t.Fatalf("want %v", want)
		}
	})
}

// A share is as large as it says, and grows without putting anybody out.
func TestWithin(t *testing.T) {
	const users = 20_000
	before := make([]bool, users)
	for _, percent := range []float64{0, 0.5, 1, 10, 50, 100} {
		n := 0
		for i := range before {
			in := Within(percent, "sip:user"+strconv.Itoa(i)+"@ims.example")
			if before[i] && !in {
				t.Fatalf("user %d is out at %v %%", i, percent)
			}
			if before[i] = in; in {
				n++
			}
		}
		if want := users * percent / 100; float64(n) < want*0.8 || float64(n) > want*1.2 {
			t.Errorf("%d of %d at %v %%", n, users, percent)
		}
	}
	if in := Within(1, "sip:user61@ims.example"); in != Within(1, strings.Clone("sip:user61@ims.example")) {
		t.Error("it is not stable")
	}
}
