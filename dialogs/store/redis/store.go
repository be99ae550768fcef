package redis

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"rewatch/dialogs/store"
)

const (
	// dialTimeout, opTimeout: a Redis in the same data centre answers in less
	// than a millisecond. One that takes longer than this counts as away.
	dialTimeout = time.Second
	opTimeout   = 500 * time.Millisecond
	poolSize    = 32
)

// Store is a store.Store in Redis.
type Store struct {
	client   redis.UniversalClient
	circuit  *circuit
	prefix   string
	users    string // prefix of the states
	channel  string
	instance string
	origin   string // names this process in what it publishes

	unreadable atomic.Uint64
}

var _ store.Store = (*Store)(nil)

// silence keeps go-redis from writing to standard error: its errors are returned as well.
type silence struct{}

// Printf implements the Logger of go-redis; it drops the line.
func (silence) Printf(context.Context, string, ...any) {}

// New makes a Store. It connects with its first operation.
func New(c Config) *Store {
	redis.SetLogger(silence{})
	s := &Store{
		client: redis.NewUniversalClient(options(c)),
		prefix: c.Prefix, users: c.Prefix + ":user:", channel: c.Prefix + ":changed",
		instance: c.Instance, origin: uuid.NewString(),
	}
	s.circuit = newCircuit(func(ctx context.Context) error { return s.client.Ping(ctx).Err() })
	return s
}

func options(c Config) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs: c.Addrs, MasterName: c.Master, IsClusterMode: c.Cluster,
		Username: c.User, Password: c.Password, SentinelPassword: c.SentinelPassword, DB: c.Database, TLSConfig: c.TLS,
		ClientName: "rewatch", DisableIdentity: true,
		DialTimeout: dialTimeout, ReadTimeout: opTimeout, WriteTimeout: opTimeout, PoolTimeout: opTimeout,
		ContextTimeoutEnabled: true, PoolSize: poolSize,
		MaxRetries: -1, DialerRetries: 1, // see the package comment
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// Ping says whether Redis answers. If it does, the other methods ask it again, too.
func (s *Store) Ping(ctx context.Context) error { return s.circuit.ask(ctx) }

// Shared is true: all replicas write to Redis.
func (s *Store) Shared() bool { return true }

// Sync has nothing to do: what Redis has acknowledged is as safe as Redis makes it.
func (s *Store) Sync(context.Context, string) error { return nil }

// Close closes every connection.
func (s *Store) Close() error {
	s.circuit.stop()
	return s.client.Close()
}

// moment begins both scripts. They distinguish a record, a deleted one (a version without a
// state) and a lost one (no key at all).
const moment = `
local has = redis.call('HGET', KEYS[1], 'v')
local alive = has and redis.call('HEXISTS', KEYS[1], 's') == 1
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local was = has and tonumber(has)
if was and was >= now then now = was + 1 end
local version = string.format('%.0f', now)
`

var (
	saveScript = redis.NewScript(moment + `
if alive and has ~= ARGV[1] then return 'conflict' end
if not alive and ARGV[1] ~= '0' then return has and 'conflict' or 'lost' end
redis.call('HSET', KEYS[1], 'v', version, 's', ARGV[2], 'o', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return version
`)
	deleteScript = redis.NewScript(moment + `
if not alive then return 'gone' end
if has ~= ARGV[1] then return 'conflict' end
redis.call('HDEL', KEYS[1], 's')
redis.call('HSET', KEYS[1], 'v', version)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return version
`)
)

// Save writes a record if the version is still the same.
func (s *Store) Save(ctx context.Context, r store.Record, with ...store.Entry) (uint64, error) {
	state, err := store.EncodeState(r.State)
	if err != nil {
		return 0, err
	}
	answer, err := s.run(ctx, saveScript, r.AOR,
		strconv.FormatUint(r.Version, 10), state, lifetime(r.State, time.Now()).Milliseconds(), s.channel, s.note(r.AOR), s.instance)
	if err != nil {
		return 0, err
	}
	s.follow(ctx, with)
	return strconv.ParseUint(answer, 10, 64)
}

// follow writes the entries that go with a saved record. Record and entries may be on two
// nodes, so they cannot be written in one step; a crash in between loses the entries.
func (s *Store) follow(ctx context.Context, with []store.Entry) {
	if len(with) > 0 {
		_ = s.Write(ctx, with)
	}
}

// Delete removes a record if the version is still the same.
func (s *Store) Delete(ctx context.Context, aor string, version uint64, with ...store.Entry) error {
	_, err := s.run(ctx, deleteScript, aor,
		strconv.FormatUint(version, 10), tombstone.Milliseconds(), s.channel, s.note(aor))
	if err == nil {
		s.follow(ctx, with)
	}
	return err
}

// run runs a script for a user, and turns the answers conflict and lost into errors.
func (s *Store) run(ctx context.Context, script *redis.Script, aor string, args ...any) (answer string, err error) {
	err = s.circuit.do(ctx, func(ctx context.Context) error {
		answer, err = script.Run(ctx, s.client, []string{s.userKey(aor)}, args...).Text()
		return err
	})
	switch {
	case err != nil:
		return "", err
	case answer == "conflict":
		return "", store.ErrConflict
	case answer == "lost":
		return "", store.ErrLost
	}
	return answer, nil
}

// Load returns the record of a user.
func (s *Store) Load(ctx context.Context, aor string) (store.Record, error) {
	var fields []any
	err := s.circuit.do(ctx, func(ctx context.Context) (err error) {
		fields, err = s.client.HMGet(ctx, s.userKey(aor), recordFields...).Result()
		return err
	})
	if err != nil {
		return store.Record{AOR: aor}, err
	}
	r, err := decodeRecord(aor, fields, s.instance)
	if err != nil {
		s.unreadable.Add(1)
	}
	return r, err
}

// Unreadable is how often a record or an entry could not be read. It was left as it is.
func (s *Store) Unreadable() uint64 { return s.unreadable.Load() }

// recordFields are the version, the state, and the instance that saved it.
var recordFields = []string{"v", "s", "o"}

// decodeRecord reads version and state. Without a state there is no record.
func decodeRecord(aor string, fields []any, instance string) (store.Record, error) {
	r := store.Record{AOR: aor}
	if len(fields) != len(recordFields) || fields[1] == nil {
		return r, nil
	}
	version, _ := fields[0].(string) // any other type is "", which is an error below
	state, _ := fields[1].(string)
	v, err := strconv.ParseUint(version, 10, 64)
	if err != nil || v == 0 {
		return r, fmt.Errorf("%s: %w", aor, store.ErrUnreadable)
	}
	if r.State, err = store.DecodeState([]byte(state)); err != nil {
		return store.Record{AOR: aor}, fmt.Errorf("%s: %w: %w", aor, store.ErrUnreadable, err)
	}
	owner, _ := fields[2].(string)
	r.Version, r.Foreign = v, owner != instance
	return r, nil
}
