package holddown

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Users who were signed out are remembered in bounded memory. When their time is over they
// make room, one or two at a time; until then a newcomer is not remembered.
func TestMemoryIsBounded(t *testing.T) {
	fs := New(time.Minute, nil)
	dawn := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	name := func(i int) string { return fmt.Sprint("sip:", i, strings.Repeat("x", 1000)) }
	n := 0
	for fs.put(name(n), flap{Last: dawn.Add(time.Duration(n) * time.Millisecond), Times: 1}, dawn) {
		n++
	}
	if fs.bytes > Budget || fs.bytes < Budget-2000 || len(fs.users) != n || fs.order.Len() != n {
		t.Fatalf("%d bytes, %d users, %d in order, of %d", fs.bytes, len(fs.users), fs.order.Len(), n)
	}
	// The first is signed out once more: it is the last to be forgotten.
	late := dawn.Add(window + longest)
	if !fs.put(name(0), flap{Last: late, Times: 2}, late) || fs.get(name(0)).Times != 2 {
		t.Error("who is known finds no room")
	}
	if fs.put(name(n), flap{Last: late, Times: 1}, dawn) {
		t.Error("one more is remembered before the time of another is over")
	}
	later := late.Add(10 * time.Millisecond)
	for i := range 5 {
		if !fs.put(name(n+i), flap{Last: later, Times: 1}, later) {
			t.Fatalf("no room for newcomer %d", i)
		}
	}
	if len(fs.users) != n-9+5 || fs.get(name(0)).Times != 2 || fs.get(name(1)).Times != 0 || fs.get(name(n)).Times != 1 {
		t.Errorf("%d users are known, of %d", len(fs.users), n)
	}
	sum := 0
	for at := fs.order.Front(); at != nil; at = at.Next() {
		sum += at.Value.(*user).size()
	}
	if sum != fs.bytes {
		t.Errorf("%d bytes are counted, %d are taken", fs.bytes, sum)
	}
}
