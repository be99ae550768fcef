//go:build unix

package limits

import "syscall"

// descriptors is how many files and sockets the process may have open; 0 where
// the system does not tell. The Go runtime has raised it as far as it may.
func descriptors() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<30 {
		return 0
	}
	return int(limit.Cur) //nolint:gosec // bounded above
}
