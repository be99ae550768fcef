package proxy

import (
	"bytes"
	"errors"
	"hash/maphash"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/metrics"
	"rewatch/proxy/resolve"
	"rewatch/proxy/socket"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// Overload is told apart from failure. A next hop that does not read its connection, or
// lookups, connections and descriptors that are all in use, say nothing about the health of
// the neighbour, let alone about the watcher of a NOTIFY. So no hop is marked as bad or down
// because of an overload, and no NOTIFY fails by it. A request of the core gets 503 with
// Retry-After, and the core sends nothing for a while (RFC 3261 21.5.4). Other 503s have no
// Retry-After, because they are about one next hop and not about rewatch; only that of a
// REGISTER has one, because it has to be sent again. Nothing is kept of a request that is
// refused.

// Crowded tells whether an error is an overload.
func Crowded(err error) bool {
	for _, e := range []error{
		transport.ErrBacklog, socket.ErrStreams, resolve.ErrBusy,
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

const (
	// leastRetry and spreadRetry are the seconds of Retry-After. Each call gets another
	// number, so that they are not all sent again at once.
	leastRetry, spreadRetry = 2, 4
)

// retryAfter is the Retry-After field of a refusal for overload, the same for every
// retransmission.
func retryAfter(d *draft.Draft) string {
	id, _ := d.Msg.Value(wire.CallID)
	n := leastRetry + maphash.Bytes(d.Seed, id)%spreadRetry
	return "Retry-After: " + strconv.FormatUint(n, 10)
}

// overloaded refuses the request at hand for a while.
func (w *worker) overloaded(from flow, reason string) {
	if bytes.Equal(w.Msg.Method, mACK) {
		w.s.metrics.Dropped(metrics.DropUnreachable, 1)
		return
	}
	w.s.metrics.Refused(metrics.RefusedOverload)
	w.s.sampled.Warn().Str("reason", reason).Msg("requests are refused: overload")
	w.refuse(from, 503, reason, retryAfter(&w.Draft))
}

// Reasons of overload, as they stand in the 503.
const (
	tooManyOpen    = "Too Many Transactions"
	tooManyParked  = "Too Many Requests Waiting For DNS"
	tooMuchWaiting = "Next Hop Overloaded"
)

// sheds tells whether a request is refused because there is no room for its record. New
// requests of the core are. What belongs to a dialog or an open transaction is forwarded
// without a record, and so is a REGISTER: a core whose REGISTER is refused may sign out the
// user (TS 24.229 5.4.1.7).
func (s *Server) sheds(m *wire.Message, from flow) bool {
	if !s.table.Reserved() || from.side() != dialogs.Core || bytes.Equal(m.Method, mACK) ||
		bytes.Equal(m.Method, mREGISTER) || bytes.Equal(m.Method, mCANCEL) {
		return false
	}
	_, tag := m.Party(wire.To)
	return len(tag) == 0
}

// strangersPerSecond is how many datagrams of hosts that are not trusted are answered in a
// second: enough to find a wrong configuration, too few for an attack on the owner of a
// forged source address.
const strangersPerSecond = 10

// allowance bounds how many answers are sent in one second.
type allowance struct{ second, taken atomic.Int64 }

// take counts one more; false: it is too many.
func (a *allowance) take(now time.Time) bool {
	s := now.Unix()
	if a.second.Swap(s) != s {
		a.taken.Store(0)
	}
	return a.taken.Add(1) <= strangersPerSecond
}
