//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd)

package boltstore

import (
	"os"
	"time"
)

// lock leaves it to bbolt to keep others away.
func lock(*os.File, time.Duration) error { return nil }
