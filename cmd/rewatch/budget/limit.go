package budget

import (
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// cgroups is where the kernel shows the limits of containers.
const cgroups = "/sys/fs/cgroup"

// Limit is the memory that this process may take, in bytes: GOMEMLIMIT if it is set, else nine tenths
// of the memory of the container, because a tenth is for what is not on the heap. 0 is no limit.
func Limit() int64 {
	if os.Getenv("GOMEMLIMIT") != "" {
		if set := debug.SetMemoryLimit(-1); set < math.MaxInt64 {
			return set
		}
		return 0
	}
	own, _ := os.ReadFile("/proc/self/cgroup")
	most := memoryOf(cgroups, string(own))
	return most - most/10
}

// memoryOf is the least memory.max of the cgroup of a process and of those above it, by
// what /proc/self/cgroup says (cgroups(7)); 0: there is no limit. In a container the own
// cgroup is the root of what is shown.
func memoryOf(root, own string) int64 {
	least := int64(math.MaxInt64)
	take := func(file string) {
		b, err := os.ReadFile(file) // #nosec G304 -- below /sys/fs/cgroup
		if err != nil {
			return
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 {
			least = min(least, n)
		}
	}
	for line := range strings.Lines(own) {
		_, at, ok := strings.Cut(strings.TrimSpace(line), "::") // version 2 alone
		for at = path.Clean("/" + at); ok; at = path.Dir(at) {
			take(path.Join(root, at, "memory.max"))
			ok = at != "/"
		}
	}
	take(path.Join(root, "memory.max"))
	take(path.Join(root, "memory", "memory.limit_in_bytes")) // version 1
	if least >= math.MaxInt64/2 {                            // how version 1 says that there is none
		return 0
	}
	return least
}
