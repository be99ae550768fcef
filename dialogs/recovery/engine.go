package recovery

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/agent"
	"rewatch/dialogs/count"
	"rewatch/dialogs/recovery/hold"
	"rewatch/dialogs/recovery/holddown"
	"rewatch/dialogs/recovery/ladder"
	"rewatch/dialogs/recovery/queue"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// Engine keeps the state of recovery of every user, lets package policy decide,
// and carries out what was decided. It implements Recovery.
//
// An event goes this way: Offer decides under the lock of the user's shard and
// returns. The shard's writer then saves the new state, and only after that acts:
// a MESSAGE or de-REGISTER is queued and sent by a goroutine of its own, whose
// outcome comes back as the next event. Deadlines wait in a heap per shard; one
// goroutine delivers them as Ticks.
//
// # Why
//
// A shard is a map under a mutex rather than a goroutine with a mailbox. A mailbox
// that is full either makes the SIP path wait or loses an event, and a lost
// NotifyOK costs a user their registration. Decide takes microseconds and asks
// nobody, so the lock is held no longer than a mailbox's would be, every event is
// taken, and a caller knows when it returns that the ban it caused is in force.
// What does take long, the store and the network, is on the other side of the
// list of changes, which holds each user at most once.
type Engine struct {
	cfg    Config
	dir    dialogs.Directory
	actor  dialogs.Actor
	alarms alarmBook
	store  store.Store
	log    zerolog.Logger

	metrics *engineMetrics
	hold    *hold.Hold
	// noting: a Keeper writes down what has to outlive the process besides the states.
	noting  bool
	ladders *ladder.Ladders
	clients agent.Table[Client]
	seed    maphash.Seed
	shards  [engineShards]engineShard

	// known counts the users, active those for whom Interested is true, bans those with a
	// ban, and lost those whose subscriptions an outage broke and who wait for its end.
	// bytes is the memory of all of them.
	known, active, bans, lost, bytes atomic.Int64
	// Tight is set while memory is short: there is no room for further failures then.
	Tight  atomic.Bool
	clock  engineClock
	others follower
	flaps  *holddown.Users

	messages, signOuts *queue.Queue
	messenger          messenger
	deregistrar        deregistrar
	outages            outages
	worklist           worklist
	turns              turns
	reports            reports
	room               room
	// clocking, queueing and writing are the goroutines, in the order in which
	// they end.
	clocking, queueing, writing sync.WaitGroup
	stopClock, stopWriting      chan struct{}
	// requests is the context of our own requests; stopQueues ends the waiting
	// for a turn, hangUp the requests themselves.
	stopQueues, hangUp context.CancelFunc
	stopped            sync.Once
}

var _ dialogs.Recovery = (*Engine)(nil)

// New makes an Engine.
func New(
	cfg Config, dir dialogs.Directory, actor dialogs.Actor, alarms dialogs.Alarms, states store.Store,
	log zerolog.Logger, reg prometheus.Registerer,
) *Engine {
	cfg = cfg.withDefaults()
	if cfg.DryRun == nil {
		cfg.DryRun = dialogs.NewDryRun(false)
	}
	log = log.Hook(dryLog{cfg.DryRun})
	alarms = &dryAlarms{Alarms: alarms, dry: cfg.DryRun, log: log, quiet: make(map[[2]string]struct{})}
	if cfg.DryRun.On() {
		states = store.NewMemoryStore() // nothing of a dry run is kept
	}
	e := &Engine{
		cfg: cfg, dir: dir, actor: actor, store: states, log: log,
		ladders: ladder.New(), seed: maphash.MakeSeed(),
		messages:  queue.New(cfg.MessageRate, cfg.Concurrency, cfg.MaxQueue),
		signOuts:  queue.New(cfg.DeregisterRate, cfg.Concurrency, cfg.MaxQueue),
		stopClock: make(chan struct{}), stopWriting: make(chan struct{}),
		stopQueues: func() {}, hangUp: func() {},
	}
	e.alarms.Alarms, e.alarms.e, e.others.e, e.clock.e = alarms, e, e, e
	e.messenger, e.deregistrar = messenger{e}, deregistrar{e}
	e.worklist, e.turns, e.reports = worklist{e}, turns{e}, reports{e}
	e.room = room{e}
	e.outages = outages{e}
	e.hold = hold.New(cfg.Hold, &e.outages, &e.alarms, e.reports.dryly, log)
	e.signOuts.Hourly = queue.NewCap(cfg.DeregisterCap, e.alarms.capBites)
	e.clock.earlier = make(chan struct{}, 1)
	for i := range e.shards {
		e.shards[i].users = make(map[string]*engineUser)
		e.shards[i].lost = make(map[string]*lostWatcher)
		e.shards[i].lostNotes = make(map[string]struct{})
		e.shards[i].changed = make(chan struct{}, 1)
	}
	e.metrics = newEngineMetrics(e, reg)
	e.flaps = holddown.New(cfg.HoldDown, e.metrics.forgotten[count.ForgottenFlap])
	return e
}

// Start loads the states of the store and begins to work. Events that are offered before
// are decided at once and acted upon from here on. The end of ctx does not stop the Engine,
// Shutdown does. The error says that the store cannot be read.
func (e *Engine) Start(ctx context.Context) error {
	if err := e.takeUp(ctx); err != nil {
		return err
	}
	var turns, requests context.Context
	ctx = context.WithoutCancel(ctx)
	turns, e.stopQueues = context.WithCancel(ctx)
	requests, e.hangUp = context.WithCancel(ctx)
	for _, q := range []*queue.Queue{e.messages, e.signOuts} {
		e.queueing.Go(func() { q.Run(turns, requests) })
	}
	for i := range e.shards {
		w := &writer{e: e, sh: &e.shards[i], unsaved: make(map[*engineUser]bool)}
		e.writing.Go(func() { w.run(ctx) })
	}
	e.clocking.Go(e.clock.run)
	e.others.start(ctx)
	e.hold.Start(turns)
	e.queueing.Go(func() { e.worklist.run(turns) })
	return nil
}

// Shutdown begins nothing new, waits for the requests in flight until ctx ends, then cancels
// them, and returns when every goroutine has ended and every state is saved. A MESSAGE that
// waits for its turn is sent after the next start. The error is that of ctx, if it ended first.
func (e *Engine) Shutdown(ctx context.Context) error {
	var err error
	e.stopped.Do(func() {
		e.others.stop()
		e.others.running.Wait()
		close(e.stopClock)
		e.clocking.Wait()
		e.stopQueues()
		e.hold.Stop()
		err = waitFor(ctx, &e.queueing)
		e.hangUp()
		e.queueing.Wait()
		close(e.stopWriting)
		e.writing.Wait()
	})
	return err
}

// waitFor waits for a group, or for the end of the context.
func waitFor(ctx context.Context, group *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Offer has the policy decide on an event of a user. It does not wait for what follows.
func (e *Engine) Offer(aor string, ev policy.Event) { e.offer(aor, ev, "") }

// offer is Offer; hop is the next hop that a failure came over, empty if it is not known.
func (e *Engine) offer(aor string, ev policy.Event, hop string) {
	sh := e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e.outages.heardOf(sh, aor, ev)
	u := sh.users[aor]
	if ev.Kind == policy.NotifyFailed && e.room.lacks(u) {
		e.metrics.dropped.Inc()
		return
	}
	if u == nil {
		if ev.Kind != policy.NotifyFailed {
			return // most users never need a record
		}
		u = &engineUser{aor: strings.Clone(aor), place: unplaced} // aor may be a part of a longer text
		e.add(sh, u)
	}
	if hop != "" {
		ev.Hop, u.hop = hop, ""
	}
	e.decide(sh, u, ev)
}

// Interested says whether the Engine has to be told of NOTIFYs of this user that get through
// and of its new subscriptions.
func (e *Engine) Interested(aor string) bool {
	if e.active.Load() == 0 && e.lost.Load() == 0 {
		return false
	}
	sh := e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[aor]
	return u != nil && u.state.Active() || sh.lost[aor] != nil
}

// Banned says whether this user is banned at that time. In a dry run nobody is.
func (e *Engine) Banned(aor string, at time.Time) bool {
	if e.bans.Load() == 0 {
		return false
	}
	s, ok := e.look(aor)
	banned := ok && at.Before(s.BannedUntil) && !e.cfg.sacred(aor)
	if banned && e.cfg.DryRun.On() {
		e.metrics.dryRun.Did(count.DryRefuse)
		return false
	}
	return banned
}

// Hold says which next hops are held.
func (e *Engine) Hold() *hold.Hold { return e.hold }

// Trace adds a step to the ladder of this user's recovery.
func (e *Engine) Trace(aor string, s dialogs.Step) { e.ladders.Trace(aor, s) }

// Reset forgives a user everything: count, ban and alarm. It returns false if nothing was
// known of the user.
func (e *Engine) Reset(aor string) bool { return e.order(aor, policy.Reset) }

// Unban ends the ban of a user. It returns false if nothing was known of the user.
func (e *Engine) Unban(aor string) bool { return e.order(aor, policy.Unban) }

func (e *Engine) order(aor string, kind policy.EventKind) bool {
	_, known := e.look(aor)
	if known {
		e.Offer(aor, policy.Event{Kind: kind, At: time.Now()})
	}
	return known
}

// look returns the state of a user. Its Broken is shared and must not be changed;
// Decide never changes what it was given, so it does not change under the reader.
func (e *Engine) look(aor string) (s policy.State, known bool) {
	e.with(aor, func(_ *engineShard, u *engineUser) { s, known = u.state, true })
	return s, known
}

func (e *Engine) shard(aor string) *engineShard {
	return &e.shards[maphash.String(e.seed, aor)%engineShards]
}

// takeUp loads the states of the store, and has the recoveries go on that an earlier process
// had begun. A store that replicas share may be away when one of them starts: the SIP path
// must not wait for it, and its states are taken over when it is back.
func (e *Engine) takeUp(ctx context.Context) error {
	shared := e.store.Shared()
	for r, err := range e.store.All(ctx) {
		if shared && err != nil {
			e.alarms.storeFailed(err)
			return nil
		}
		if err != nil {
			return err
		}
		if !e.restore(r) {
			continue
		}
		e.alarms.restore(r)
		if r.Foreign {
			continue
		}
		e.Offer(r.AOR, policy.Event{Kind: policy.Resumed, At: time.Now()})
		if s, _ := e.look(r.AOR); s.SignedOut && !shared {
			// A crash may have left the registration; it must not make the user's
			// return look like a refresh.
			e.dir.SignedOut(e.dir.User(r.AOR))
		}
	}
	return nil
}
