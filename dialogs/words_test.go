package dialogs

import (
	"errors"
	"net/netip"
	"testing"
)

// A dry run can be turned on and off; without one everything is done.
func TestDryRun(t *testing.T) {
	var none *DryRun
	if none.On() {
		t.Error("no dry run is on")
	}
	d := NewDryRun(true)
	for _, on := range []bool{true, false, true} {
		if d.Set(on); d.On() != on {
			t.Errorf("on: %v, want %v", !on, on)
		}
	}
}

// Only a 2xx is a success, and none that came with an error.
func TestResult(t *testing.T) {
	for status := range 700 {
		if got := (Result{Status: status}).OK(); got != (status >= 200 && status < 300) {
			t.Errorf("%d: %v", status, got)
		}
	}
	if (Result{Status: 200, Err: errors.New("lost")}).OK() {
		t.Error("an error is a success")
	}
}

// A user has one number in a process, different users have different ones.
func TestUserID(t *testing.T) {
	if a, b := UserID("sip:al@ims.example"), UserID("sip:bo@ims.example"); a == b || a != UserID("sip:al@ims.example") {
		t.Errorf("%d and %d", a, b)
	}
}

func TestTry(t *testing.T) {
	try := Try{Why: "491", Transport: "udp", Hop: netip.MustParseAddrPort("192.0.2.1:5060")}
	if got := try.String(); got != "upon 491, by udp 192.0.2.1:5060" {
		t.Error(got)
	}
}
