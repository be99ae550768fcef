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
	// Every is how long what was learnt may wait for the Journal; 0 is 100 ms.
	Every time.Duration
	// Shared: other processes write registrations to the Journal as well.
	Shared bool
}

// Source learns what is to be kept, and takes it up again in the next process.
type Source interface {
	// Attach joins the Source with its Keeper, before anything is learnt.
	Attach(k *Keeper)
	// Kinds are those of its entries.
	Kinds() []Kind
	// Restore takes up what an earlier process has kept; false if it is over, or
	// nothing that could be that.
	Restore(e Entry, now time.Time) bool
	// Collect takes what was learnt, about as many entries as there is room for, and
	// says whether there are more.
	Collect(room int) (entries []Entry, more bool)
	// Settle is called between the collecting and the writing. It returns when whatever
	// has to be known, or kept, before the entries are is.
	Settle(ctx context.Context)
	// Unwritten is how much waits to be collected.
	Unwritten() int
}

// Keeper keeps what its Sources learn in a Journal. It writes it behind, so that the SIP
// path waits for nothing, and reads it when the process starts.
//
// Where the Journal is shared, registrations are not read at the start but looked
// up when one is needed: a user may register by way of another replica each time,
// and what this one once saw is out of date soon. For the same reason a REGISTER
// is the beginning of a period only if the Journal knows of none.
type Keeper struct {
	cfg     KeeperConfig
	sources []Source
	journal Journal
	log     zerolog.Logger

	mu    sync.Mutex
	given map[entryKey]Entry // by Keep
	then  []func()           // by Once

	batch []Entry // that could not be written yet
	busy  atomic.Bool
	away  bool
	hurry chan struct{}
	end   chan struct{}
	ended chan struct{} // closed when the last batch is written
}

const (
	// batchSize is about how many entries are written together.
	batchSize = 2048
	// writeTime bounds the writing of a batch.
	writeTime = 5 * time.Second
)

// NewKeeper makes a Keeper; before a Source hears of the first message. What the first
// Source learns may follow from what the next one knows, and so on.
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

// Hurry has what was learnt written without waiting for the next turn.
func (k *Keeper) Hurry() {
	select {
	case k.hurry <- struct{}{}:
	default: // it is about to
	}
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

// restorers say who takes up the entries of a kind. What all the processes know
// together is looked up when it is needed.
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

// Start begins to write.
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

// Once calls a function when what was learnt by now is as safe as it will be: it is
// written, or the Journal is away.
func (k *Keeper) Once(then func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.then = append(k.then, then)
}

// safe takes those functions, to be called after the writing.
func (k *Keeper) safe() (call func()) {
	k.mu.Lock()
	then := k.then
	k.then = nil
	k.mu.Unlock()
	return func() {
		for _, f := range then {
			f()
		}
	}
}

// Pending says how much was learnt and is not kept yet, roughly; 0: nothing.
func (k *Keeper) Pending() int {
	k.mu.Lock()
	n := len(k.given)
	k.mu.Unlock()
	for _, s := range k.sources {
		n += s.Unwritten()
	}
	if k.busy.Load() { // last: what was collected meanwhile is in the batch
		n++
	}
	return n
}

// Shutdown writes what is left and ends; once, after the Monitor's.
func (k *Keeper) Shutdown(ctx context.Context) error {
	close(k.end)
	select {
	case <-k.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// flush writes everything that is noted. What follows from something else is collected
// before that is, and written after it or together with it: of Sources the first follows
// from the next. While the Journal is away the batch does not grow: the notes wait where
// they are, each once.
func (k *Keeper) flush(ctx context.Context) {
	k.busy.Store(true)
	defer k.safe()()
	defer func() { k.busy.Store(len(k.batch) > 0) }()
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

// collect fills a batch, and says whether there is more.
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

// write writes the batch when the Sources have settled what precedes it; false if the
// Journal is away.
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
