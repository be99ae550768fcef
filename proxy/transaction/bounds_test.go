package transaction

import (
	"bytes"
	"fmt"
	"testing"

	"rewatch/cmd/rewatch/budget/budgettest"
	"rewatch/proxy/resolve"
)

// Whatever the transactions are, a Table that is full takes no more memory than is stated,
// also once they have gone and others have come; and it counts nothing that is gone.
func TestMemoryIsBounded(t *testing.T) {
	const limit = 20_000
	for _, c := range []struct{ size, hops int }{{0, 1}, {600, 1}, {60_000, 1}, {600, 33}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			text := bytes.Repeat([]byte("x"), c.size)
			before := budgettest.Heap()
			table := NewTable(limit, standard)
			key, at := uint64(0), Moment(1)
			if table.Tight.Store(true); !table.Full() || !table.Scarce() || !table.Reserved() {
				t.Error("there is room where memory is short")
			}
			table.Tight.Store(false)
			for range 3 {
				n := 0
				for ; !table.Full(); n++ {
					key++
					q := Request{Kind: Notify, Whole: true, Hops: make([]resolve.Hop, c.hops)}
					if !table.Begin(key, at, &q, text) {
						t.Fatal("it is new")
					}
				}
				grown, stated := budgettest.Heap()-before, Budget(limit)
				t.Logf("%d transactions: %d MB of %d", n, grown>>20, stated>>20)
				if grown > stated {
					t.Errorf("%d bytes are taken, %d are stated", grown, stated)
				}
				for table.Len() > 0 {
					at = at.Add(standard.NotifyTimeout)
					for i := range Shards {
						table.Expire(i, at, nil)
					}
				}
				if table.bytes.Load() != 0 {
					t.Errorf("%d bytes are counted of nothing", table.bytes.Load())
				}
			}
		})
	}
}
