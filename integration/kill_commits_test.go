//go:build integration

package integration

import (
	bin "encoding/binary"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// commit is one that was seen to be done: which one, and when.
type commit struct {
	txid uint64
	at   time.Time
}

// awaitWrite waits until the state file is written to, but not for ever. It says
// whether that is a commit that is not done yet, and which one was the last before.
func (k *killer) awaitWrite() (before uint64, begun bool) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		k.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "inotify") //nolint:gosec // a descriptor
	defer func() { _ = f.Close() }()
	if _, err := unix.InotifyAddWatch(fd, k.file, unix.IN_MODIFY); err != nil {
		k.t.Fatal(err)
	}
	_ = f.SetReadDeadline(time.Now().Add(time.Second))
	before = k.txid()
	_, err = f.Read(make([]byte, 4096))
	return before, err == nil && k.txid() == before
}

// watch takes down when commits are done.
func (k *killer) watch(done <-chan struct{}) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	last := uint64(0)
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		if txid := k.txid(); txid != last {
			last = txid
			k.mu.Lock()
			k.commits = append(k.commits, commit{txid, time.Now()})
			k.mu.Unlock()
		}
	}
}

// committed is the number of the last commit that was done by then.
func (k *killer) committed(by time.Time) (txid uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.commits {
		if c.at.After(by) {
			break
		}
		txid = c.txid
	}
	return txid
}

// mayBeLost says whether what happened at a moment may be lost, if it may wait so long
// for its commit. After that time so many commits need not have it yet, but the next one
// has to, if it was done before the next kill.
func (k *killer) mayBeLost(at time.Time, window time.Duration, without uint64) bool {
	i := slices.IndexFunc(k.kills, func(kill time.Time) bool { return kill.After(at.Add(-underWay)) })
	return i >= 0 && k.committed(k.kills[i]) <= k.committed(at.Add(window+belated))+without
}

// txid is the number of the last commit in the file (bbolt's two meta pages).
func (k *killer) txid() uint64 {
	f, err := os.Open(k.file)
	if err != nil {
		return 0 // not made yet
	}
	defer func() { _ = f.Close() }()
	const at = 16 + 48
	last, b := uint64(0), make([]byte, 8)
	for page := range int64(2) {
		if _, err := f.ReadAt(b, page*int64(os.Getpagesize())+at); err == nil {
			last = max(last, bin.NativeEndian.Uint64(b))
		}
	}
	return last
}
