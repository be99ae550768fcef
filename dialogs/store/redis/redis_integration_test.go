//go:build integration

package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"rewatch/dialogs/store"
	"rewatch/dialogs/store/redis"
	"rewatch/dialogs/store/storetest"
	"rewatch/policy"
)

const (
	alice = "sip:alice@ims.example"
	port  = "16379"
)

// server is a redis-server of its own address and directory.
type server struct {
	t    *testing.T
	ip   string
	dir  string
	args []string
	cmd  *exec.Cmd
}

func address(n int) string { return fmt.Sprintf("127.%d.9.%d", 32+os.Getpid()%200, n) }

func startServer(t *testing.T, n int, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed; docker/lab/install.sh does it")
	}
	s := &server{t: t, ip: address(n), dir: t.TempDir(), args: args}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *server) start() {
	s.t.Helper()
	args := append([]string{"--bind", s.ip, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no"}, s.args...)
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.wait(func(r *redis.Store) error { return r.Ping(s.t.Context()) })
}

// wait waits until Redis does something.
func (s *server) wait(try func(*redis.Store) error) {
	s.t.Helper()
	r := s.plain("wait")
	var err error
	for range 200 {
		if err = try(r); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatal(err)
}

// stop ends it as a crash does: nothing is saved.
func (s *server) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) cli(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("redis-cli", append([]string{"-h", s.ip, "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Errorf("redis-cli %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	for range 200 {
		if fact() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("not in time: %s", what)
}

// plain is a store with a prefix, so that the tests are apart.
func (s *server) plain(prefix string) *redis.Store { return s.plainOf(prefix, "pod-1") }

func (s *server) plainOf(prefix, instance string) *redis.Store {
	s.t.Helper()
	return open(s.t, "redis://"+s.ip+":"+port+"?prefix="+prefix, instance)
}

func open(t *testing.T, url, instance string) *redis.Store {
	t.Helper()
	c, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c.Instance = instance
	s := redis.New(c)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// prefixes gives every subtest keys of its own.
func prefixes() func() string {
	n := 0
	return func() string { n++; return fmt.Sprint("test", n) }
}

func TestSingle(t *testing.T) {
	s := startServer(t, 1)
	next := prefixes()
	storetest.Run(t, func(*testing.T) store.Store { return s.plain(next()) })
	storetest.RunJournal(t, func(*testing.T) store.Journal { return s.plain(next()) })
	storetest.RunShared(t, func(t *testing.T) (one, two store.Store) {
		prefix := next()
		return s.plain(prefix), s.plainOf(prefix, "pod-2")
	})

	// Nothing stays for ever.
	forever := s.cli("eval", `local n = 0
		for _, key in ipairs(redis.call('KEYS', '*')) do
			if redis.call('TTL', key) < 0 then n = n + 1 end
		end
		return n`, "0")
	if forever != "0" {
		t.Errorf("%s keys stay for ever", forever)
	}
}

func TestSentinel(t *testing.T) {
	master := startServer(t, 2)
	replica := startServer(t, 3, "--replicaof", master.ip, port, "--replica-announce-ip", address(3))
	sentinel := address(4)
	file := t.TempDir() + "/sentinel.conf"
	text := fmt.Sprintf("bind %s\nport 26379\ndir %s\nsentinel monitor mymaster %s %s 1\n"+
		"sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 2000\n", sentinel, t.TempDir(), master.ip, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	watch := exec.Command("redis-server", file, "--sentinel")
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watch.Process.Kill(); _ = watch.Wait() })

	s := open(t, "redis+sentinel://"+sentinel+"/mymaster", "pod-1")
	version := eventuallySave(t, s, 0)
	eventually(t, "it is replicated", func() bool { return strings.Contains(replica.cli("keys", "*"), alice) })
	eventually(t, "the Sentinel has heard of the replica", func() bool {
		out, err := exec.Command("redis-cli", "-h", sentinel, "-p", "26379", "sentinel", "replicas", "mymaster").Output()
		return err == nil && strings.Contains(string(out), replica.ip)
	})
	master.stop()
	began := time.Now()
	eventuallySave(t, s, version)
	t.Logf("failed over after %s", time.Since(began))
	if replica.cli("role")[:6] != "master" {
		t.Error("the replica is not the master")
	}
}

// eventuallySave saves as soon as Redis takes it.
func eventuallySave(t *testing.T, s *redis.Store, version uint64) uint64 {
	t.Helper()
	var err error
	for range 300 {
		var v uint64
		v, err = s.Save(t.Context(), store.Record{AOR: alice, Version: version, State: policy.State{Sent: 1}})
		if err == nil {
			return v
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal(err)
	return 0
}

func TestCluster(t *testing.T) {
	var all []string
	var one *server
	for n := 5; n <= 7; n++ {
		one = startServer(t, n, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-announce-ip", address(n))
		all = append(all, one.ip+":"+port)
	}
	one.cli(append(append([]string{"--cluster", "create"}, all...), "--cluster-yes")...)
	eventually(t, "the cluster is whole", func() bool {
		return strings.Contains(one.cli("cluster", "info"), "cluster_state:ok")
	})
	next := prefixes()
	cluster := func(prefix, instance string) *redis.Store {
		return open(t, "redis+cluster://"+strings.Join(all, ",")+"?prefix="+prefix, instance)
	}
	storetest.Run(t, func(*testing.T) store.Store { return cluster(next(), "pod-1") })
	storetest.RunJournal(t, func(*testing.T) store.Journal { return cluster(next(), "pod-1") })
	storetest.RunShared(t, func(*testing.T) (one, two store.Store) {
		prefix := next()
		return cluster(prefix, "pod-1"), cluster(prefix, "pod-2")
	})
}

// What is one process's own is not another's.
func TestInstances(t *testing.T) {
	s := startServer(t, 8)
	url := "redis://" + s.ip + ":" + port
	one, two := open(t, url, "pod-1"), open(t, url, "pod-2")
	until := time.Now().Add(time.Hour)
	for _, kind := range store.Kinds() {
		if err := one.Write(t.Context(), []store.Entry{{Kind: kind, Key: "k", Value: []byte("v"), Until: until}}); err != nil {
			t.Fatal(err)
		}
		_, ok, err := two.Read(t.Context(), kind, "k")
		if err != nil || ok != kind.Shared() {
			t.Errorf("%s of another process: %v, %v", kind, ok, err)
		}
	}
}

// A Redis that is away, stands still or comes back empty holds nobody for long,
// and is found again.
func TestAway(t *testing.T) {
	s := startServer(t, 9)
	r := s.plain("rewatch")
	version := eventuallySave(t, r, 0)
	ctx, cancel := context.WithCancel(t.Context())
	var resyncs counter
	var watching sync.WaitGroup
	watching.Go(func() { _ = r.Watch(ctx, func(string) {}, resyncs.add) })
	defer watching.Wait()
	defer cancel()
	resyncs.wait(t, 1)

	_ = s.cmd.Process.Signal(stopSignal)
	began := time.Now()
	for range 100 {
		if _, err := r.Save(t.Context(), store.Record{AOR: alice, Version: version}); err == nil {
			t.Fatal("saved in a Redis that stands still")
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("100 saves held us for %s", took)
	}
	_ = s.cmd.Process.Signal(continueSignal)
	s.stop()
	s.start()
	deadline := time.Now().Add(20 * time.Second)
	var err error
	for !errors.Is(err, store.ErrLost) && time.Now().Before(deadline) {
		_, err = r.Save(t.Context(), store.Record{AOR: alice, Version: version})
		time.Sleep(20 * time.Millisecond)
	}
	if !errors.Is(err, store.ErrLost) || !errors.Is(err, store.ErrConflict) {
		t.Errorf("a Redis that came back empty says %v", err)
	}
	resyncs.wait(t, 2)
	eventuallySave(t, r, 0)
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() { c.mu.Lock(); c.n++; c.mu.Unlock() }

func (c *counter) wait(t *testing.T, want int) {
	t.Helper()
	for range 400 {
		c.mu.Lock()
		n := c.n
		c.mu.Unlock()
		if n >= want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("not %d times", want)
}
