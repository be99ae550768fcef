package route

import (
	"fmt"
	"strings"
	"testing"

	"rewatch/dialogs"
)

// TestCache asks for more places than are remembered, some of them again, and
// gets what reading each anew would give.
func TestCache(t *testing.T) {
	const coreSide, serverSide = "10.0.0.1:5060", "10.1.0.1:5062"
	r := Router{Config: &Config{Names: Names{NewName("10.0.0.1", 5060, 0, dialogs.Core), NewName("10.1.0.1", 5062, 1, dialogs.Server)}}}
	uris := []string{
		"", "no uri", "sip:" + serverSide + ";lr;rw", "sip:" + coreSide + ";lr;rw", "sip:" + coreSide + ";lr",
		"sip:10.0.0.7", "sip:10.0.0.7;lr", "sip:core.example;lr", "sips:10.0.0.7:5070;lr", "sip:10.0.0.7;lr;transport=tcp",
		"sip:10.0.0.8;lr;x=" + strings.Repeat("x", maxCached),
	}
	for i := range 200 {
		uri := []byte(uris[i*i%len(uris)])
		want := entry{uri: uri}
		want.read(r.Names)
		if got := *r.entry(uri); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %v, want %v", uri, got, want)
		}
	}
}
