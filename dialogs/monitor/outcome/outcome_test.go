package outcome

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
)

// fate is what becomes of an otherwise healthy subscription.
type fate struct {
	any, rfc Worth
	effect   effect
}

// TestOutcomeMatrix walks every status code in both modes. The expectation is
// written down the other way round from the table: by fate, as RFC 6665 4.2.2,
// RFC 5057 5.1 and the design list the codes.
func TestOutcomeMatrix(t *testing.T) {
	expect := func(code int) fate {
		switch {
		case code < 300:
			return fate{Success, Success, endsTransaction}
		case code < 400:
			return fate{Failure, Temporary, endsTransaction}
		case code == 401 || code == 407:
			return fate{Challenge, Challenge, endsTransaction}
		case code == 491:
			return fate{Temporary, Temporary, endsTransaction}
		case slices.Contains([]int{404, 410, 416, 482, 484, 485, 502, 604}, code):
			return fate{Failure, Failure, endsDialog}
		case slices.Contains([]int{403, 405, 408, 480, 481, 483, 489, 501}, code):
			return fate{Failure, Failure, endsUsage}
		case code == 503:
			return fate{Failure, Failure, endsTransaction}
		default:
			return fate{Failure, Harmless, endsTransaction}
		}
	}
	for code := 200; code < 700; code++ {
		o := dialogs.Outcome{Status: code, RetryAfter: -1}
		want := expect(code)
		got := fate{Of(&o, false), Of(&o, true), rowOf(&o).effect}
		if got != want {
			t.Errorf("%d: %+v, want %+v", code, got, want)
		}
		o.RetryAfter = 5
		want.any, want.rfc = Temporary, Temporary
		if w := expect(code); w.any == Success || w.any == Challenge {
			want = w
		}
		if got := (fate{Of(&o, false), Of(&o, true), rowOf(&o).effect}); got != want {
			t.Errorf("%d with Retry-After: %+v, want %+v", code, got, want)
		}
		kills := want.effect == endsDialog || code == 481
		if KillsDialog(&o) != kills {
			t.Errorf("%d kills the dialog: %v, want %v", code, !kills, kills)
		}
	}
	for _, kind := range []dialogs.OutcomeKind{dialogs.TimedOut, dialogs.Unreachable} {
		o := dialogs.Outcome{Kind: kind, RetryAfter: -1}
		if Of(&o, false) != Failure || Of(&o, true) != Failure || KillsDialog(&o) {
			t.Errorf("%v is no failure of the usage", kind)
		}
	}
	for _, code := range []int{-1, 0, 100, 199, 700, 1 << 30} {
		if o := (dialogs.Outcome{Status: code}); IsOK(&o) || Of(&o, false) == Success {
			t.Errorf("status %d is a success", code)
		}
	}
}

func TestCause(t *testing.T) {
	tests := []struct {
		o           dialogs.Outcome
		text, label string
	}{
		{dialogs.Outcome{Kind: dialogs.TimedOut}, "408 Request Timeout", "timeout"},
		{dialogs.Outcome{Kind: dialogs.Unreachable}, "503 Service Unavailable", "unreachable"},
		{dialogs.Outcome{Status: 480, Reason: []byte("Temporarily Unavailable")}, "480 Temporarily Unavailable", "480"},
		{dialogs.Outcome{Status: 480}, "480", "480"},
		{dialogs.Outcome{Status: 499, Reason: []byte("a\r\nEvil: 1\x00\xff")}, "499 aEvil: 1", "other"},
		{dialogs.Outcome{Status: 503, Reason: make([]byte, 10000)}, "503", "503"},
		{dialogs.Outcome{Status: 500, Reason: []byte(strings.Repeat("x", 100))}, "500 " + strings.Repeat("x", 64), "500"},
	}
	for _, tt := range tests {
		if text, label := Cause(&tt.o), Label(&tt.o); text != tt.text || label != tt.label {
			t.Errorf("%q %q, want %q %q", text, label, tt.text, tt.label)
		}
	}
}

// A path that is broken is told from a user who is, and a watcher that does not know the
// package from one that has lost its subscription.
func TestWhoIsToBlame(t *testing.T) {
	for code := 200; code < 700; code++ {
		o := dialogs.Outcome{Status: code}
		if got, want := RoutingFault(&o), slices.Contains([]int{482, 483, 502}, code); got != want {
			t.Errorf("%d is a routing fault: %v", code, got)
		}
		if got, want := Pointless(&o), code == 489; got != want {
			t.Errorf("after %d it is pointless to subscribe again: %v", code, got)
		}
	}
	for _, kind := range []dialogs.OutcomeKind{dialogs.TimedOut, dialogs.Unreachable} {
		if o := (dialogs.Outcome{Kind: kind}); RoutingFault(&o) || Pointless(&o) {
			t.Errorf("%v tells of more than silence", kind)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for after, want := range map[int]time.Duration{-1: 2 * time.Second, 0: 0, 5: 5 * time.Second, 1 << 30: 24 * time.Hour} {
		if got := RetryAfter(&dialogs.Outcome{RetryAfter: after}); got != want {
			t.Errorf("Retry-After %d: %s, want %s", after, got, want)
		}
	}
}

// A refresh that is refused leaves the subscription alive but for the codes of RFC 6665
// 4.1.2.2.
func TestEndsRefresh(t *testing.T) {
	ends := []int{404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604}
	for status := 200; status < 700; status++ {
		if got := EndsRefresh(status); got != slices.Contains(ends, status) {
			t.Errorf("%d ends it: %v", status, got)
		}
	}
}

// Every label is listed, once.
func TestLabels(t *testing.T) {
	all := Labels()
	slices.Sort(all)
	if n := len(slices.Compact(slices.Clone(all))); n != len(all) {
		t.Errorf("%d labels, %d of them different", len(all), n)
	}
	for code := 300; code < 700; code++ {
		if label := Label(&dialogs.Outcome{Status: code}); !slices.Contains(all, label) {
			t.Errorf("%d: %q is not listed", code, label)
		}
	}
}
