package recovery_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// newerStore has a record of one user that a replica of a later version wrote.
type newerStore struct {
	store.Store
	user  string
	asked atomic.Int32
}

func (s *newerStore) Load(ctx context.Context, aor string) (store.Record, error) {
	if aor == s.user {
		s.asked.Add(1)
		return store.Record{}, fmt.Errorf("%s: %w", aor, store.ErrUnreadable)
	}
	return s.Store.Load(ctx, aor)
}

func (s *newerStore) Save(ctx context.Context, r store.Record, with ...store.Entry) (uint64, error) {
	if r.AOR == s.user {
		s.asked.Add(1)
		return 0, store.ErrConflict
	}
	return s.Store.Save(ctx, r, with...)
}

// A user whose record cannot be read is told what broke and is not signed out, the store
// is not said to be away, and the others go on as ever. Nobody asks again and again.
func TestUnreadableRecord(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold = 1
	synctest.Test(t, func(t *testing.T) {
		const bob = "sip:bob@ims.example"
		s := &newerStore{Store: store.NewMemoryStore(), user: alice}
		r := newRig(t, cfg, s)
		r.change(func() {
			r.users[bob] = dialogs.User{AOR: bob, Registered: true, LastHop: "sip:10.0.0.7:5060", Contacts: []string{"sip:bob@192.0.2.8"}}
		})
		for _, aor := range []string{alice, bob} {
			r.Offer(aor, policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("carol", "call-of-"+aor)})
		}
		r.at(5 * time.Minute)
		diary := strings.Join(r.diary, "\n")
		if strings.Contains(diary, "store-unavailable") {
			t.Errorf("an alarm about the store:\n%s", diary)
		}
		if strings.Contains(diary, "REGISTER "+alice) || !strings.Contains(diary, "REGISTER "+bob) {
			t.Errorf("who was signed out:\n%s", diary)
		}
		if n := s.asked.Load(); n == 0 || n > 200 {
			t.Errorf("the store was asked %d times for it", n)
		}
		r.stop()
	})
}
