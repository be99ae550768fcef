package redelivery

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"rewatch/cmd/rewatch/budget/budgettest"
	"rewatch/dialogs"
)

// Whatever is kept, of whom and of how many, a Postman takes no more memory than is stated,
// also while attempts are under way; and it gives it back.
func TestMemoryIsBounded(t *testing.T) {
	const most = 16 << 20
	long := strings.Repeat("x", 1000)
	for name, notify := range map[string]func(i int) Notify{
		"small":    func(i int) Notify { return Notify{User: fmt.Sprint("u", i), Device: "d", Dialog: uint64(i)} },
		"one user": func(i int) Notify { return Notify{User: "u", Device: fmt.Sprint("d", i), Dialog: uint64(i)} },
		"long names": func(i int) Notify {
			return Notify{User: fmt.Sprint(i, long), Device: fmt.Sprint(i, long[:256]), Dialog: uint64(i)}
		},
		"queues": func(i int) Notify {
			return Notify{User: fmt.Sprint("u", i/16), Device: "d", Dialog: uint64(i / 16), CSeq: uint32(i), Queued: true}
		},
		"long": func(i int) Notify {
			return Notify{User: fmt.Sprint("u", i), Device: "d", Dialog: uint64(i), Parcel: dialogs.Parcel{Raw: bytes.Repeat([]byte("x"), 60_000)}}
		},
		"usual": func(i int) Notify {
			return Notify{User: fmt.Sprint("u", i), Device: "d", Dialog: uint64(i), Parcel: dialogs.Parcel{Raw: bytes.Repeat([]byte("x"), 1025)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			opt := Options{Config: Config{For: time.Hour, MaxBytes: most}, Rate: 200}
			before, now, stated := budgettest.Heap(), time.Unix(1e9, 0), Budget(opt)
			p := NewPostman(opt)
			n := 0
			for ok := true; ok; n++ {
				ok, _ = p.Keep(now, notify(n))
			}
			now = now.Add(longest)
			for a, _ := p.next(now); a.ID != 0; a, _ = p.next(now) { // each device is tried
			}
			now = now.Add(2 * Stale)
			again := int(opt.Rate * lifetime.Seconds())
			for user := range p.keeper.users { // shows a sign of life, and is tried again
				if p.Alive(now, user, ""); again == 0 {
					break
				}
				again--
				p.next(now)
			}
			grown := budgettest.Heap() - before
			t.Logf("%d are kept, %d attempts: %d MB of %d, counted %d", p.keeper.Len(), len(p.flying), grown>>20, stated>>20, p.keeper.Bytes()>>20)
			if grown > stated || p.keeper.Bytes() < most-100_000 {
				t.Errorf("%d bytes are taken, %d are stated", grown, stated)
			}
			for dialog := range p.keeper.dialogs {
				p.Drop(dialog, Dropped)
			}
			if p.calls(); p.keeper.Bytes() != 0 || p.Some() || len(p.flying) != 0 {
				t.Errorf("left: %d bytes, %d attempts", p.keeper.Bytes(), len(p.flying))
			}
			runtime.KeepAlive(p)
		})
	}
}
