// Package limits fits the process into what the system gives it: descriptors and processors.
package limits

import (
	"os"
	"runtime"

	"github.com/rs/zerolog"
)

// spareDescriptors are kept for everything that is no accepted connection: the
// listeners, the state, the admin server, and the connections that rewatch opens
// itself, without which no NOTIFY over TCP would leave.
func spareDescriptors(all int) int { return 100 + all/10 }

// Connections is how many connections each side may accept: as many as the
// operator allows, and as the system has descriptors for. Whoever connects beyond
// them is turned away; without them rewatch could not even do that.
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

// OneMoreProcessor gives the reader of the UDP sockets a processor beside the one,
// while it keeps it to itself (proxy.Config.Poller). It is nil where the processors are
// not ours to choose.
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
