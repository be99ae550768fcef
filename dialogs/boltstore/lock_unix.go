//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package boltstore

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockPause is the pause before it is tried again to lock a file.
const lockPause = 20 * time.Millisecond

// lock keeps writers away from a file until it is closed. It is the lock that bbolt
// takes. What a running process writes must not be taken for damage.
func lock(f *os.File, timeout time.Duration) error {
	for deadline := time.Now().Add(timeout); ; time.Sleep(lockPause) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK):
			return err
		case time.Now().After(deadline):
			return ErrInUse
		}
	}
}
