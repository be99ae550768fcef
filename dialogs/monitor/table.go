package monitor

import (
	"cmp"
	"hash/maphash"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/count"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/monitor/identities"
	"rewatch/dialogs/monitor/periods"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// Table has the subscriptions and the registrations, as the Monitor has learnt them. It
// is the Directory of an Engine, and what outlives the process is read from it and into
// it (Source). Its methods may be called from any goroutine.
type Table struct {
	hasher
	cfg    Config
	linger time.Duration // 64*T1 (RFC 3261 17.1.2.2)
	tableMetrics

	subs  [shards]subShard
	users [shards]userShard

	// noting: there is a Keeper, for whom changes are noted. shared is not nil
	// where other processes know the same users.
	noting bool
	once   func(then func())
	shared *periods.Directory
	// lapse is until when a dialog that is not known may have begun in the moments
	// that a crash took away (Unix nanoseconds); 0: it is older than this process.
	lapse int64

	births     atomic.Uint64
	room       // what is kept, and how much more may be
	identities *identities.Set
}

var _ dialogs.Directory = (*Table)(nil)

// NewTable makes an empty Table. A nil reg leaves the metrics unregistered.
func NewTable(cfg Config, reg prometheus.Registerer) *Table {
	cfg.MaxSubscriptions = cmp.Or(cfg.MaxSubscriptions, math.MaxInt32)
	cfg.MaxPerWatcher = cmp.Or(cfg.MaxPerWatcher, math.MaxInt32)
	t := &Table{
		hasher: hasher{maphash.MakeSeed(), maphash.MakeSeed()},
		cfg:    cfg,
		linger: policy.TimerF,
		room:   room{most: int64(cfg.MaxSubscriptions)},
	}
	t.identities = identities.New(t.takeTexts, func(bytes int) { t.texts.Add(-int64(bytes)) })
	for i := range t.subs {
		t.subs[i].number = uint32(i) // #nosec G115 -- below shards
		t.subs[i].waiting = make(map[uint32]waiting)
		t.subs[i].heads = make(map[uint32][]byte)
		t.subs[i].unannounced = make(map[failureKey]failure)
		t.users[i].texts = &t.texts
	}
	t.tableMetrics = newTableMetrics(t, reg)
	return t
}

// tableMetrics count what has no room.
type tableMetrics struct {
	untracked [untrackedReasons]prometheus.Counter
	forgotten [count.ForgottenKinds]prometheus.Counter
	// redelivered is not nil.
	redelivered *redeliveryMetrics
}

func newTableMetrics(t *Table, reg prometheus.Registerer) tableMetrics {
	tm := tableMetrics{forgotten: count.NewForgotten(t.cfg.Forgotten), redelivered: newRedeliveryMetrics(reg)}
	reasons := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rewatch_untracked_total",
		Help: "Messages that were forwarded but could not be remembered, by reason.",
	}, []string{"reason"})
	for i := untrackedFull; i < untrackedReasons; i++ {
		tm.untracked[i] = reasons.WithLabelValues(i.String())
	}
	subscriptions := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_subscriptions",
		Help: "Subscriptions that are active.",
	}, func() float64 { return float64(t.live.Load()) })
	registrations := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_registrations",
		Help: "Users whose third-party registration is known and has not lapsed.",
	}, func() float64 { return float64(t.registered.Load()) })
	if reg != nil {
		reg.MustRegister(reasons, subscriptions, registrations)
	}
	return tm
}

// Share has a Table ask a Journal that other processes write to as well, and gives the
// Directory that asks. It is called before New.
func (t *Table) Share(j store.Journal) *periods.Directory {
	t.shared = periods.Share(t, j, func(value []byte) (periods.Registration, error) {
		r, err := readRegistration(value)
		return periods.Registration{Until: time.Unix(0, r.until), SCSCF: r.scscf, Emergency: r.emergency, Identities: strings.Fields(r.identities)}, err
	}, t.identities.Add)
	return t.shared
}

// UserNamed gives the user whose identity this is, in canonical form as it is: itself if
// it is no other identity of anybody's. Other replicas are asked for one that is not
// known here, so it may take a second.
func (t *Table) UserNamed(canonical string) string {
	user := t.identities.Named(canonical)
	if t.shared == nil || user != canonical || t.User(user).Registered {
		return user
	}
	t.shared.Whose(canonical)
	return t.identities.Named(canonical)
}

// hasher places keys in shards and slots and tells them apart. Its seeds are this
// process's own, so a peer cannot choose Call-IDs that meet in one shard.
type hasher struct {
	seed maphash.Seed // picks shard and slot
	keys maphash.Seed // tells keys apart
}

// hashBytes places a Call-ID.
func (h *hasher) hashBytes(b []byte) uint64 { return maphash.Bytes(h.seed, b) }

// identity tells one ID from all others of its Call-ID's shard.
func (h *hasher) identity(id *ident.ID) uint64 {
	var room [256]byte
	return maphash.Bytes(h.keys, id.AppendKey(room[:0]))
}

// identify is the identity of a subscription, by its texts.
func (h *hasher) identify(s *subscription) uint64 {
	var room [256]byte
	b := room[:0]
	for i := textCallID; i <= textEvent; i++ {
		b = append(append(b, s.part(i)...), 0)
	}
	return maphash.Bytes(h.keys, b)
}

// hashAOR places a user.
func (h *hasher) hashAOR(aor string) uint64 { return maphash.String(h.seed, aor) }

// hashThread stands for watcher, device, resource and event package, by which a new
// subscription is known to replace an older one: it has a fresh Call-ID, and perhaps
// another Event id.
func (h *hasher) hashThread(s *subscription) uint64 {
	device := s.device()
	if device == "" {
		return h.hashPlace(s)
	}
	var room [384]byte
	return maphash.Bytes(h.seed, append(appendKind(room[:0], s), device...))
}

// appendKind appends what subscriptions of one kind have in common, whatever the device.
func appendKind(b []byte, s *subscription) []byte {
	for _, text := range [...]string{s.watcher(), s.resource(), ident.PackageOf(s.event())} {
		b = append(append(b, text...), 0)
	}
	return b
}

// hashPlace is hashThread of a device that does not tell who it is: its Contact does.
func (h *hasher) hashPlace(s *subscription) uint64 {
	var room [384]byte
	b := appendKind(room[:0], s)
	var contact [aor.MaxScratch]byte
	if place, ok := aor.Append(b, append(contact[:0], s.contact()...)); ok {
		b = place
	}
	return maphash.Bytes(h.seed, b)
}

// shardNumber takes the high bits of a hash; the maps use the low ones.
func shardNumber(hash uint64) uint32 { return uint32(hash >> (64 - shardBits)) }

func (t *Table) subShard(hash uint64) *subShard   { return &t.subs[shardNumber(hash)] }
func (t *Table) userShard(hash uint64) *userShard { return &t.users[shardNumber(hash)] }
