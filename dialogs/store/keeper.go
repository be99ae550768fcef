package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// KeeperConfig says how a Keeper works.
type KeeperConfig struct {
	// Every is the time between two writes to the Journal; 0 is 100 ms.
	Every time.Duration
	// Shared: other processes write to the Journal as well.
	Shared bool
}

// Source has facts that a Keeper keeps, and takes them back in the next process.
type Source interface {
	// Attach joins the Source with its Keeper. It is called before the first message.
	Attach(k *Keeper)
	// Kinds are the kinds of its entries.
	Kinds() []Kind
	// Restore takes back an entry that an earlier process wrote; false if the entry has
	// expired or cannot be read.
	Restore(e Entry, now time.Time) bool
	// Collect gives the entries that have changed since the last call, about as many as
	// there is room for, and says whether there are more.
	Collect(room int) (entries []Entry, more bool)
	// Settle is called after Collect and before the write. It returns when everything is
	// known, or kept, that has to be so before the entries.
	Settle(ctx context.Context)
	// Unwritten is how many changes wait to be collected.
	Unwritten() int
}

// Keeper writes the facts that its Sources learn to a Journal, in the background, so that
// the SIP path never waits. It reads them back when the process starts.
//
// Entries of a kind that is shared are not read at the start but looked up when one is
// needed: a user may register through another replica each time, so what this one has seen
// is soon out of date. For the same reason a REGISTER begins a period of registration only
// if the Journal has none.
type Keeper struct {
	cfg     KeeperConfig
	sources []Source
	journal Journal
	log     zerolog.Logger

	mu    sync.Mutex
	given map[EntryID]Entry // by Keep
	then  []func()          // by Once

	batch []Entry     // collected and not written yet
	busy  atomic.Bool // batch may have entries
	away  bool        // the last write failed
	hurry chan struct{}
	end   chan struct{}
	ended chan struct{} // closed when the last batch is written
}

const (
	// batchSize is about how many entries are written together.
	batchSize = 2048
	// writeTime bounds one write.
	writeTime = 5 * time.Second
)

// NewKeeper makes a Keeper and attaches its Sources. What the first Source has may depend
// on what the next one has, and so on: the entries of the last Source are written first.
func NewKeeper(cfg KeeperConfig, j Journal, log zerolog.Logger, sources ...Source) *Keeper {
	if cfg.Every <= 0 {
		cfg.Every = 100 * time.Millisecond
	}
	k := &Keeper{
		cfg: cfg, sources: sources, journal: j, log: log,
		hurry: make(chan struct{}, 1), end: make(chan struct{}), ended: make(chan struct{}),
	}
	for _, s := range sources {
		s.Attach(k)
	}
	return k
}

// SharedJournal is the Journal, if other processes write to it as well, else nil.
func (k *Keeper) SharedJournal() Journal {
	if k.cfg.Shared {
		return k.journal
	}
	return nil
}

// Hurry starts a write now.
func (k *Keeper) Hurry() {
	select {
	case k.hurry <- struct{}{}:
	default: // a write is about to start
	}
}

// Restore reads the entries of an earlier process and leaves out those that no Source can
// read. An error is the Journal's.
func (k *Keeper) Restore(ctx context.Context) error {
	now := time.Now()
	restored, refused := 0, 0
	for kind, restore := range k.restorers() {
		for e, err := range k.journal.Entries(ctx, kind) {
			switch {
			case err != nil && k.cfg.Shared:
				// A shared Journal may be away; the SIP path does not wait for it.
				k.log.Warn().Err(err).Msg("subscriptions of the previous process could not be read")
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
	k.log.Info().Int("restored", restored).Int("left_out", refused).Msg("subscriptions and registrations of the previous process restored")
	return nil
}

// restorers gives, for each kind that is read at the start, what takes its entries back.
func (k *Keeper) restorers() map[Kind]func(Entry, time.Time) bool {
	kinds := make(map[Kind]func(Entry, time.Time) bool)
	for _, s := range k.sources {
		for _, kind := range s.Kinds() {
			if !k.cfg.Shared || !kind.Shared() {
				kinds[kind] = s.Restore
			}
		}
	}
	return kinds
}

// Start begins to write, every cfg.Every, until Shutdown.
func (k *Keeper) Start(ctx context.Context) {
	go func() {
		defer close(k.ended)
		tick := time.NewTicker(k.cfg.Every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				k.flush(ctx)
			case <-k.hurry:
				k.flush(ctx)
			case <-k.end:
				k.flush(ctx)
				return
			}
		}
	}()
}

// Keep adds entries to the next write. Of each key the last entry counts.
func (k *Keeper) Keep(entries ...Entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.given == nil {
		k.given = make(map[EntryID]Entry)
	}
	for _, e := range entries {
		k.given[e.ID()] = e
	}
}

// Once calls a function when everything learnt by now is written, or when the Journal turns
// out to be away.
func (k *Keeper) Once(then func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.then = append(k.then, then)
}

// Pending is about how many changes are not written yet; 0: all are.
func (k *Keeper) Pending() int {
	k.mu.Lock()
	n := len(k.given)
	k.mu.Unlock()
	for _, s := range k.sources {
		n += s.Unwritten()
	}
	if k.busy.Load() { // checked last: what was collected meanwhile is in the batch
		n++
	}
	return n
}

// Shutdown writes what is left and ends. It is called once, after the Shutdown of the
// Sources. The error is the one of ctx.
func (k *Keeper) Shutdown(ctx context.Context) error {
	close(k.end)
	select {
	case <-k.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// flush writes everything that has changed. The first Source is collected first and written
// last, or in one batch with the others, for it depends on the next ones. While the Journal
// is away the batch does not grow: the changes wait in the Sources, each once.
func (k *Keeper) flush(ctx context.Context) {
	k.busy.Store(true)
	k.mu.Lock()
	then := k.then
	k.then = nil
	k.mu.Unlock()
	defer func() {
		k.busy.Store(len(k.batch) > 0)
		for _, f := range then {
			f()
		}
	}()
	if k.away && !k.write(ctx) {
		return
	}
	k.mu.Lock()
	for _, e := range k.given {
		k.batch = append(k.batch, e)
	}
	k.given = nil
	k.mu.Unlock()
	for k.collect() {
		if !k.write(ctx) {
			return
		}
	}
	k.write(ctx)
}

// collect fills the batch, and says whether there is more.
func (k *Keeper) collect() (more bool) {
	collected := make([][]Entry, len(k.sources))
	for i, s := range k.sources {
		entries, further := s.Collect(batchSize)
		collected[i], more = entries, more || further
	}
	for _, entries := range slices.Backward(collected) {
		k.batch = append(k.batch, entries...)
	}
	return more
}

// write writes the batch, after the Sources have settled what has to come before; false if
// the Journal is away.
func (k *Keeper) write(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	for _, s := range k.sources {
		s.Settle(ctx)
	}
	if len(k.batch) == 0 {
		return true
	}
	err := k.journal.Write(ctx, k.batch)
	if err != nil {
		if !k.away {
			k.log.Warn().Err(err).Int("entries", len(k.batch)).Msg("subscriptions and registrations cannot be saved for now")
		}
		k.away = true
		return false
	}
	k.away = false
	clear(k.batch)
	k.batch = k.batch[:0]
	return true
}
