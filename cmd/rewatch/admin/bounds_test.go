package admin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/budget/budgettest"
	"rewatch/cmd/rewatch/config"
)

// longBackend has lists whose entries are as long as a peer can make them.
type longBackend struct {
	*fakeBackend
	n, length int
}

func (b longBackend) Recoveries(limit int, after string) Page {
	i, _ := strconv.Atoi(after)
	var items []string
	for ; i < b.n && len(items) < limit; i++ {
		items = append(items, fmt.Sprint(i+1, strings.Repeat("<", b.length)))
	}
	if i == b.n {
		return Page{Items: items}
	}
	return Page{Items: items, Next: strconv.Itoa(i)}
}

// An answer has as many entries as there is room for, and the next one goes on there: none
// is missed, none comes twice. One that is too long for any answer has one of its own.
func TestPagesAreBoundedInBytes(t *testing.T) {
	for _, length := range []int{0, 5000, maxAnswer / 3} {
		b := longBackend{&fakeBackend{}, 1050, length}
		if length > 0 {
			b.n = 200
		}
		if length > 5000 {
			b.n = 3
		}
		h, seen, after, pages := handlerFor(b, ""), 0, "", 0
		for pages = 1; ; pages++ {
			w := askAdmin(h, "GET", "/api/v1/recoveries?limit=1000&after="+after)
			var page struct {
				Items []string
				Next  string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
				t.Fatal(w.Code, err)
			}
			if w.Body.Len() > maxAnswer*3/2 && len(page.Items) > 1 {
				t.Fatalf("%d bytes of %d entries", w.Body.Len(), len(page.Items))
			}
			for _, item := range page.Items {
				if seen++; !strings.HasPrefix(strings.TrimRight(item, "<"), strconv.Itoa(seen)) {
					t.Fatalf("entry %d is %.20s", seen, item)
				}
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if want := max(2, 6*length*b.n/maxAnswer); seen != b.n || pages < want*4/9 || pages > 2*want {
			t.Errorf("%d entries of %d bytes in %d pages, about %d are needed", seen, length, pages, want)
		}
	}
}

// However many ask for the longest answers and read nothing, the admin server takes no more
// memory than is stated.
func TestMemoryIsBounded(t *testing.T) {
	before := budgettest.Heap()
	a := New(config.AdminConfig{}, longBackend{&fakeBackend{}, 1000, 5000}, fakeMetrics(), zerolog.Nop())
	listener := make(pipes)
	go func() { _ = a.server.Serve(listener) }()
	var most int64
	for range 60 {
		peer, server := net.Pipe()
		listener <- server
		go func() {
			_, _ = peer.Write([]byte("GET /api/v1/recoveries?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		}()
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && most < maxUnread*3/4; {
		most = max(most, budgettest.Heap()-before)
	}
	t.Logf("%d MB of %d", most>>20, Budget(false)>>20)
	if most > Budget(false) || most < maxUnread/2 {
		t.Errorf("%d bytes are taken, %d are stated", most, Budget(false))
	}
	close(listener)
	_ = a.server.Close()
}
