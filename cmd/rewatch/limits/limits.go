// Package limits fits the process into what the system gives it: descriptors and processors.
package limits

import (
	"os"
	"runtime"

	"github.com/rs/zerolog"
)

// spareDescriptors is how many descriptors are left for everything but accepted connections: the
// listeners, the state, the admin server, and the connections that rewatch opens itself. Without the
// last, no NOTIFY could be sent over TCP.
func spareDescriptors(all int) int { return 100 + all/10 }

// Connections is how many connections each side may accept: wanted (REWATCH_MAX_CONNECTIONS), or
// fewer, with a warning in the log, if the system has too few descriptors for both sides. A further
// connection is accepted and closed, which takes a descriptor as well.
func Connections(wanted int, log zerolog.Logger) int { return connections(wanted, descriptors(), log) }

func connections(wanted, descriptors int, log zerolog.Logger) int {
	most := (descriptors - spareDescriptors(descriptors)) / 2
	if descriptors == 0 || wanted <= most {
		return wanted
	}
	most = max(most, 1)
	log.Warn().Int("wanted", wanted).Int("descriptors", descriptors).Int("allowed", most).
		Msg("too few file descriptors for REWATCH_MAX_CONNECTIONS on both sides; raise the limit of open files")
	return most
}

// OneMoreProcessor gives the function for proxy.Config.Poller. While the reader of the UDP sockets
// keeps a processor to itself (held), Go gets a second one. It is nil if GOMAXPROCS is set, or if
// there is more than one processor anyway.
func OneMoreProcessor() func(held bool) {
	if os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) != 1 {
		return nil
	}
	return func(held bool) {
		if held {
			runtime.GOMAXPROCS(2)
		} else {
			runtime.GOMAXPROCS(1)
		}
	}
}
