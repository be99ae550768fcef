package monitor

import (
	"cmp"
	"hash/maphash"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/count"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/monitor/identities"
	"rewatch/dialogs/monitor/periods"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// Table has the subscriptions and registrations that the Monitor has learnt. It is the
// Directory of an Engine. Its Source saves and restores what has to outlive the process. Its
// methods may be called from any goroutine.
type Table struct {
	hasher
	rules
	linger time.Duration // 64*T1 (RFC 3261 17.1.2.2)
	tableMetrics

	subs  [shards]subShard
	users [shards]userShard

	// noting: there is a Keeper, and changes are noted for it. once is its Once. shared is
	// not nil where other processes know the same users.
	noting bool
	once   func(then func())
	shared *periods.Directory
	// lapse: until then (Unix nanoseconds) the first NOTIFY of an unknown dialog may belong
	// to a SUBSCRIBE that a crash has lost; 0: there was no earlier process.
	lapse int64

	births atomic.Uint64 // counts the SUBSCRIBEs, see subscription.birth
	room
	identities *identities.Set
}

var _ dialogs.Directory = (*Table)(nil)

// NewTable makes an empty Table. A nil reg leaves the metrics unregistered.
func NewTable(cfg Config, reg prometheus.Registerer) *Table {
	cfg.MaxSubscriptions = cmp.Or(cfg.MaxSubscriptions, math.MaxInt32)
	cfg.MaxPerWatcher = cmp.Or(cfg.MaxPerWatcher, math.MaxInt32)
	t := &Table{
		hasher: hasher{maphash.MakeSeed(), maphash.MakeSeed()},
		rules:  newRules(cfg, reg),
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

// tableMetrics count what is not kept, and what becomes of NOTIFYs that are.
type tableMetrics struct {
	untracked   [untrackedReasons]prometheus.Counter
	forgotten   [count.ForgottenKinds]prometheus.Counter
	redelivered *redeliveryMetrics
}

func newTableMetrics(t *Table, reg prometheus.Registerer) tableMetrics {
	tm := tableMetrics{forgotten: count.NewForgotten(t.cfg.Forgotten), redelivered: newRedeliveryMetrics(reg)}
	made := promauto.With(reg)
	reasons := made.NewCounterVec(prometheus.CounterOpts{
		Name: "rewatch_untracked_total",
		Help: "Messages that were forwarded but could not be remembered, by reason.",
	}, []string{"reason"})
	for i := untrackedFull; i < untrackedReasons; i++ {
		tm.untracked[i] = reasons.WithLabelValues(i.String())
	}
	made.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_subscriptions",
		Help: "Subscriptions that are active.",
	}, func() float64 { return float64(t.live.Load()) })
	made.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_registrations",
		Help: "Users whose third-party registration is known and has not lapsed.",
	}, func() float64 { return float64(t.registered.Load()) })
	return tm
}

// Share lets a Table ask a Journal that other processes write to as well. It returns the
// Directory that asks. It is called before New.
func (t *Table) Share(j store.Journal) *periods.Directory {
	t.shared = periods.Share(t, j, func(value []byte) (periods.Registration, error) {
		r, err := readRegistration(value)
		return periods.Registration{Until: time.Unix(0, r.until), SCSCF: r.scscf, Emergency: r.emergency, Identities: strings.Fields(r.identities)}, err
	}, t.identities.Add)
	return t.shared
}

// UserNamed gives the user that has an identity, which has to be canonical; the identity
// itself if no user is known to have it. An unknown one is looked up in the shared Journal,
// which may take a second.
func (t *Table) UserNamed(canonical string) string {
	user := t.identities.Named(canonical)
	if t.shared == nil || user != canonical || t.User(user).Registered {
		return user
	}
	t.shared.Whose(canonical)
	return t.identities.Named(canonical)
}

// hasher makes the hashes of keys. Its seeds are random, so that a peer cannot choose
// Call-IDs that meet in one shard.
type hasher struct {
	seed maphash.Seed // of the hash that picks shard and slot
	keys maphash.Seed // of the hash that identifies a key
}

// identity is a hash by which an ID is found among those with its Call-ID.
func (h *hasher) identity(id *ident.ID) uint64 {
	var room [256]byte
	return maphash.Bytes(h.keys, id.AppendKey(room[:0]))
}

// identify is the identity of a subscription.
func (h *hasher) identify(s *subscription) uint64 {
	var room [256]byte
	return maphash.Bytes(h.keys, s.appendKey(room[:0]))
}

// hashDialog is a hash of the dialog of a subscription.
func (h *hasher) hashDialog(s *subscription) uint64 {
	return maphash.String(h.seed, s.text[:s.ends[textNotifierTag]])
}

// hashThread is a hash of watcher, device, resource and event package: a new subscription
// replaces an older one that agrees in these. It has a new Call-ID, and perhaps another
// Event id.
func (h *hasher) hashThread(s *subscription) uint64 {
	device := s.device()
	if device == "" {
		return h.hashPlace(s)
	}
	var room [384]byte
	return maphash.Bytes(h.seed, append(appendKind(room[:0], s), device...))
}

// appendKind appends watcher, resource and event package.
func appendKind(b []byte, s *subscription) []byte {
	for _, text := range [...]string{s.watcher(), s.resource(), ident.PackageOf(s.event())} {
		b = append(append(b, text...), 0)
	}
	return b
}

// hashPlace is the hashThread of a device that is known by its Contact alone.
func (h *hasher) hashPlace(s *subscription) uint64 {
	var room [384]byte
	b := appendKind(room[:0], s)
	var contact [aor.MaxScratch]byte
	if place, ok := aor.Append(b, append(contact[:0], s.contact()...)); ok {
		b = place
	}
	return maphash.Bytes(h.seed, b)
}

// target is a hash of a URI that a NOTIFY is sent to, in whatever spelling.
func (h *hasher) target(uri string) uint16 {
	if canonical, ok := aor.Canonical(uri); ok {
		uri = canonical
	}
	return uint16(maphash.String(h.keys, uri)) | 1 // #nosec G115 -- a part of the hash will do
}

// shardNumber takes the high bits of a hash; the maps use the low ones.
func shardNumber(hash uint64) uint32 { return uint32(hash >> (64 - shardBits)) }

// callShard gives the shard of a Call-ID, and its hash.
func (t *Table) callShard(callID []byte) (*subShard, uint64) {
	hash := maphash.Bytes(t.seed, callID)
	return &t.subs[shardNumber(hash)], hash
}

// userShard gives the shard of a user, and its hash.
func (t *Table) userShard(aor string) (*userShard, uint64) {
	hash := maphash.String(t.seed, aor)
	return &t.users[shardNumber(hash)], hash
}
