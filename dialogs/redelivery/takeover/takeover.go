// Package takeover notices that a replica is gone for good, and takes over the
// subscriptions for which that replica kept NOTIFYs.
//
// The bytes of a kept NOTIFY are in the memory of one process. The shared store knows only
// for which subscription NOTIFYs are kept (store.KindKept) and which processes live
// (store.KindReplica, which expires). A replica looks for the entries of processes that
// live no more and takes them; taking is atomic, so exactly one replica gets each entry.
// The NOTIFYs have failed then. The entry is removed when that is saved: what a replica has
// taken that crashes before, or that does not get the answer of the store, is taken again.
//
// # Why
//
// A replica that was stopped for a while, or that lost its connection to the store, is not
// gone: it still has the bytes and delivers them. So nobody is in a hurry. A sign of life
// lasts longer than a NOTIFY may be kept (REWATCH_REDELIVER): when it expires, a process
// that still runs would have given the NOTIFYs up by itself. And a sign of life has to be
// missing at two looks in a row, because an outage of the store lets the signs of all
// replicas expire.
//
// A process that finds that its own sign of life could have expired gives nothing up
// before it knows which entries were taken (Alive, Returned).
package takeover

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs/store"
)

const (
	// beat is how often a replica writes its sign of life.
	beat = 5 * time.Second
	// look is how often a replica looks for entries of others. Each look is a SCAN.
	look = time.Minute
	// margin is how much longer than a NOTIFY is kept a sign of life lasts.
	margin = time.Minute
)

// Config is what a Takeover needs.
type Config struct {
	Journal store.Taker
	// Instance is the name of this process.
	Instance string
	// For is how long a NOTIFY is kept at most.
	For time.Duration
	// Lost is told of each subscription that was taken, as the entry that Key has named. Keep
	// is then given the removal of the entry, to be written after what Lost has caused.
	Lost func(e store.Entry)
	Keep func(removal ...store.Entry)
	// Returned is called when the sign of life of this process could have expired; taken
	// tells whether another process has taken the entry with that key.
	Returned func(taken func(key string) bool)
	Log      zerolog.Logger
}

// Key is the key of the KindKept entry for a subscription of a process.
func Key(instance, subscription string) string { return instance + "\x00" + subscription }

// Takeover runs in one goroutine; Alive may be called from any.
type Takeover struct {
	cfg Config
	// written is when the sign of life was last written, in Unix nanoseconds.
	written atomic.Int64
	// missing has the processes that had no sign of life at the last look.
	missing map[string]bool
}

// New makes a Takeover. It does nothing before Run.
func New(c Config) *Takeover { return &Takeover{cfg: c} }

func (t *Takeover) life() time.Duration { return t.cfg.For + margin }

// Alive tells whether the sign of life of this process has certainly not expired.
func (t *Takeover) Alive() bool {
	return time.Now().UnixNano()-t.written.Load() < int64(t.life())
}

// Run writes the sign of life and looks for what others have left, until ctx is done.
func (t *Takeover) Run(ctx context.Context) {
	t.written.Store(time.Now().UnixNano()) // nothing of this process can be taken yet
	t.beat(ctx)
	beats, looks := time.NewTicker(beat), time.NewTicker(look)
	defer beats.Stop()
	defer looks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beats.C:
			t.beat(ctx)
		case <-looks.C:
			t.beat(ctx)
			t.look(ctx)
		}
	}
}

// beat writes the sign of life.
func (t *Takeover) beat(ctx context.Context) {
	now, late := time.Now(), !t.Alive()
	sign := store.Entry{Kind: store.KindReplica, Key: t.cfg.Instance, Value: []byte("alive"), Until: now.Add(t.life())}
	if t.cfg.Journal.Write(ctx, []store.Entry{sign}) != nil {
		return
	}
	if late && !t.returned(ctx) {
		return
	}
	t.written.Store(now.UnixNano())
}

// returned has the process find out what was taken; false: the store did not tell.
func (t *Takeover) returned(ctx context.Context) bool {
	ok := true
	t.cfg.Returned(func(key string) bool {
		_, mine, err := t.cfg.Journal.Take(ctx, store.KindKept, Key(t.cfg.Instance, key))
		ok = ok && err == nil
		return err == nil && !mine
	})
	return ok
}

// look takes what is kept by processes without a sign of life at this look and the last.
func (t *Takeover) look(ctx context.Context) {
	before, absent := t.missing, map[string]bool{}
	t.missing = nil // an error begins anew
	for e, err := range t.cfg.Journal.Entries(ctx, store.KindKept) {
		instance, _, ok := strings.Cut(e.Key, "\x00")
		if err != nil || !t.Alive() {
			return
		}
		if !ok || instance == t.cfg.Instance {
			continue
		}
		gone, asked := absent[instance]
		if !asked {
			_, found, err := t.cfg.Journal.Read(ctx, store.KindReplica, instance)
			if err != nil {
				return
			}
			gone = !found
			absent[instance] = gone
		}
		if gone && before[instance] && !t.take(ctx, e.Key) {
			return
		}
	}
	t.missing = absent
}

// take takes an entry, unless another replica has it; false: the store did not tell.
func (t *Takeover) take(ctx context.Context, key string) bool {
	e, ok, err := t.cfg.Journal.Take(ctx, store.KindKept, key)
	if err != nil || !ok {
		return err == nil
	}
	instance, subscription, _ := strings.Cut(key, "\x00")
	t.cfg.Log.Info().Str("replica", instance).Msg("took over a subscription whose NOTIFYs were lost with its replica")
	e.Key = subscription
	t.cfg.Lost(e)
	t.cfg.Keep(store.Entry{Kind: e.Kind, Key: key})
	return true
}
