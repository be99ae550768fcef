package dialogs

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// KeeperConfig says how a Keeper works.
type KeeperConfig struct {
	// Every is how long what was learnt may wait for the Journal; 0 is 100 ms.
	Every time.Duration
	// Shared: other processes write registrations to the Journal as well.
	Shared bool
}

// Keeper keeps a Monitor's subscriptions and registrations in a Journal, and what an
// Engine has to remember besides its states. It writes them behind, so that the SIP
// path waits for nothing, and reads them when the process starts.
//
// Where the Journal is shared, registrations are not read at the start but looked
// up when one is needed: a user may register by way of another replica each time,
// and what this one once saw is out of date soon. For the same reason a REGISTER
// is the beginning of a period only if the Journal knows of none.
type Keeper struct {
	cfg     KeeperConfig
	m       *Monitor
	engine  *Engine // nil: there is none, or it remembers nothing else
	journal Journal
	log     zerolog.Logger

	mu    sync.Mutex
	given map[entryKey]Entry // by Keep

	batch   []Entry // that could not be written yet
	waiters []func()
	busy    atomic.Bool
	away    bool
	end     chan struct{}
	writing sync.WaitGroup
}

var _ Directory = (*Keeper)(nil)

const (
	// batchSize is about how many entries are written together.
	batchSize = 2048
	// lookupTime bounds a look-up, writeTime a batch.
	lookupTime = time.Second
	writeTime  = 5 * time.Second
)

// NewKeeper makes a Keeper; before the Monitor hears of the first message.
func NewKeeper(cfg KeeperConfig, m *Monitor, j Journal, log zerolog.Logger) *Keeper {
	if cfg.Every <= 0 {
		cfg.Every = 100 * time.Millisecond
	}
	m.noting = true
	if cfg.Shared {
		m.doubts, m.asked = make(chan doubt, maxDoubts), make(chan struct{}, 1)
	}
	return &Keeper{cfg: cfg, m: m, journal: j, log: log, end: make(chan struct{})}
}

// Restore reads what an earlier process has kept. What it cannot make sense of it
// leaves out; an error is the Journal's.
func (k *Keeper) Restore(ctx context.Context) error {
	now := time.Now()
	restored, refused := 0, 0
	for kind, restore := range k.restorers() {
		for e, err := range k.journal.Entries(ctx, kind) {
			switch {
			case err != nil && k.cfg.Shared:
				// One that others share may be away: the SIP path does not wait.
				k.log.Warn().Err(err).Msg("subscriptions of before could not be read")
				return nil
			case err != nil:
				return fmt.Errorf("read every %s: %w", kind, err)
			case restore(e, now):
				restored++
			default:
				refused++
			}
		}
	}
	if !k.cfg.Shared {
		k.m.lapse = now.Add(k.m.linger).UnixNano()
	}
	k.log.Info().Int("restored", restored).Int("left_out", refused).Msg("what was learnt before")
	return nil
}

// restorers say who takes up the entries of a kind.
func (k *Keeper) restorers() map[Kind]func(Entry, time.Time) bool {
	kinds := map[Kind]func(Entry, time.Time) bool{KindSubscription: k.m.restoreSubscription}
	if !k.cfg.Shared {
		kinds[KindRegistration] = k.m.restoreRegistration
	}
	if k.engine == nil {
		return kinds
	}
	for _, kind := range []Kind{KindOutage, KindLost, KindFlap, KindSignOuts} {
		if !k.cfg.Shared || !kind.Shared() { // else it is looked up when it is needed
			kinds[kind] = k.engine.restoreEntry
		}
	}
	return kinds
}

// Start begins to write.
func (k *Keeper) Start(ctx context.Context) {
	k.writing.Go(func() {
		tick := time.NewTicker(k.cfg.Every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				k.flush(ctx)
			case <-k.m.asked: // the first NOTIFY after a REGISTER is not far
				k.flush(ctx)
			case <-k.end:
				k.flush(ctx)
				return
			}
		}
	})
}

// Keep keeps entries, the last of each key, with the others.
func (k *Keeper) Keep(entries ...Entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.given == nil {
		k.given = make(map[entryKey]Entry)
	}
	for _, e := range entries {
		k.given[entryKey{e.Kind, e.Key}] = e
	}
}

// Pending says how much was learnt and is not kept yet, roughly; 0: nothing.
func (k *Keeper) Pending() int {
	k.mu.Lock()
	n := len(k.given)
	k.mu.Unlock()
	for i := range shards {
		n += k.m.unwritten(i)
	}
	if k.engine != nil {
		n += k.engine.unwritten()
	}
	if k.busy.Load() { // last: what was collected meanwhile is in the batch
		n++
	}
	return n
}

// Shutdown writes what is left and ends; once, after the Monitor's.
func (k *Keeper) Shutdown(ctx context.Context) error {
	close(k.end)
	return waitFor(ctx, &k.writing)
}

// flush writes everything that is noted. Doubts are settled between the collecting
// and the writing: whoever noted a registration had asked before, and our own entry
// must not be the answer to our own question. While the Journal is away the batch does
// not grow: the notes wait where they are, each once.
func (k *Keeper) flush(ctx context.Context) {
	k.busy.Store(true)
	defer func() { k.busy.Store(len(k.batch) > 0) }()
	if k.away && !k.write(ctx) {
		k.letGo()
		return
	}
	k.mu.Lock()
	for _, e := range k.given {
		k.batch = append(k.batch, e)
	}
	k.given = nil
	k.mu.Unlock()
	if k.engine != nil {
		k.batch = k.engine.collectHeld(k.batch)
	}
	for i := range shards {
		k.batch = k.m.collectSubscriptions(i, k.batch)
		k.batch = k.m.collectRegistrations(i, k.batch)
		if k.engine != nil && i < engineShards {
			var waiters []func()
			k.batch, waiters = k.engine.collect(i, k.batch)
			k.waiters = append(k.waiters, waiters...)
		}
		if len(k.batch) >= batchSize && !k.write(ctx) {
			return
		}
	}
	k.write(ctx)
}

// letGo lets those go on who wait until something of an Engine is written. While the
// Journal is away nobody does.
func (k *Keeper) letGo() {
	for i := 0; k.engine != nil && i < engineShards; i++ {
		for _, then := range k.engine.shards[i].takeWaiters() {
			then()
		}
	}
}

// write settles the doubts and writes the batch; false if the Journal is away.
func (k *Keeper) write(ctx context.Context) bool {
	k.settleDoubts(ctx)
	if len(k.batch) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	err := k.journal.Write(ctx, k.batch)
	for _, then := range k.waiters { // whether or not it went well
		then()
	}
	k.waiters = nil
	if err != nil {
		if !k.away {
			k.log.Warn().Err(err).Int("entries", len(k.batch)).Msg("what was learnt cannot be kept for now")
		}
		k.away = true
		return false
	}
	k.away = false
	clear(k.batch)
	k.batch = k.batch[:0]
	return true
}

// settleDoubts asks the Journal what this process does not know.
func (k *Keeper) settleDoubts(ctx context.Context) {
	for range len(k.m.doubts) {
		d := <-k.m.doubts
		registered := !d.change
		if r, ok, err := k.lookUp(ctx, d.aor); err == nil {
			registered = ok && r.until > d.at.UnixNano()
		}
		k.m.settle(d, registered)
	}
}

// lookUp reads the registration of a user as all processes together know it.
func (k *Keeper) lookUp(ctx context.Context, aor string) (registration, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	e, ok, err := k.journal.Read(ctx, KindRegistration, aor)
	if err != nil || !ok {
		return registration{}, false, err
	}
	r, err := readRegistration(e.Value)
	return r, err == nil, err
}

// User implements Directory: what another replica saw counts as well.
func (k *Keeper) User(aor string) User {
	u := k.m.User(aor)
	if u.Registered || !k.cfg.Shared {
		return u
	}
	r, ok, err := k.lookUp(context.Background(), aor)
	if err != nil || !ok || r.until <= time.Now().UnixNano() {
		return u
	}
	// Whether a server has it too is a matter of the replica in front of that one.
	u.Registered, u.SCSCF, u.Emergency = true, r.scscf, u.Emergency || r.emergency
	return u
}

// SignedOut implements Directory.
func (k *Keeper) SignedOut(u User) bool { return k.m.SignedOut(u) }

// Termination implements Directory.
func (k *Keeper) Termination(aor, callID, event string) (TerminateJob, bool) {
	return k.m.Termination(aor, callID, event)
}
