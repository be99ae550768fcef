package proxy

import (
	"fmt"
	"strings"
	"testing"

	"rewatch/cmd/rewatch/budget/budgettest"
)

// Requests that wait for a name, long or short, take no more memory than is stated.
func TestMemoryOfParkedIsBounded(t *testing.T) {
	for _, length := range []int{60_000, 0} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			play(t, func(r *rig) {
				before := budgettest.Heap()
				for i := range maxParked + 1 {
					msg := request("MESSAGE", "sip:w@10.0.0.9", strings.Replace(viaServer, "server1", fmt.Sprint("b", i), 1), "Route: <sip:none.example;lr>")
					r.server.send(serverSide, strings.Replace(msg, "Content-Length: 0\n", fmt.Sprintf("Content-Length: %d\n\n%s", length, strings.Repeat("x", length)), 1))
					if got := r.server.poll(); got != "" {
						wantOverload(t, got, tooManyParked)
						break
					}
				}
				_, _, stated := Budget(1, 1, 0, false)
				grown := budgettest.Heap() - before
				t.Logf("%d wait: %d MB of %d", r.s.parking.len(), grown>>20, stated>>20)
				if n := r.s.parking.len(); grown > stated || n < maxParked && r.s.parking.bytes < maxParkedBytes-70_000 {
					t.Errorf("%d bytes are taken, %d are stated; %d wait", grown, stated, n)
				}
				r.names.learn("none.example", nil, "10.0.0.2:5060")
			})
		})
	}
}
