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
	"rewatch/proxy/resolve"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// What there is too much of is told apart from what is broken. A next hop that
// does not read, or names, connections and descriptors that are all in use, say
// nothing about the neighbour, let alone about the watcher of a NOTIFY. So nobody
// is marked as bad or down for it and no NOTIFY has failed by it. A request of the
// core gets 503 with Retry-After, upon which it keeps its requests to itself for a
// while (RFC 3261 21.5.4); other 503s have none, because they are about one next
// hop and not about rewatch, but for that of a REGISTER, which has to come again. Nothing is kept of a request that is refused.

// Crowded tells whether an error is about too much at a time.
func Crowded(err error) bool { return crowded(err) }

func crowded(err error) bool {
	for _, e := range []error{
		transport.ErrBacklog, errStreams, resolve.ErrBusy,
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

const (
	// leastRetry and spreadRetry are the seconds of Retry-After, of which each call
	// gets another number, so that not all come back at once.
	leastRetry, spreadRetry = 2, 4
)

// retryAfter is the field of a refusal for overload. It is the same for every
// retransmission.
func retryAfter(d *draft.Draft) string {
	id, _ := d.Msg.Value(wire.CallID)
	n := leastRetry + maphash.Bytes(d.Seed, id)%spreadRetry
	return "Retry-After: " + strconv.FormatUint(n, 10)
}

// overloaded refuses the request at hand for a while.
func (w *worker) overloaded(from flow, reason string) {
	if bytes.Equal(w.Msg.Method, mACK) {
		w.s.metrics.dropped(dropUnreachable, 1)
		return
	}
	w.s.metrics.refused(refusedOverload)
	w.s.crowd.Warn().Str("reason", reason).Msg("requests are refused: overload")
	w.refuse(from, 503, reason, retryAfter(&w.Draft))
}

// Reasons of overload, as they stand in the 503.
const (
	tooManyOpen    = "Too Many Transactions"
	tooManyParked  = "Too Many Requests Waiting For DNS"
	tooMuchWaiting = "Next Hop Overloaded"
)

// sheds tells whether a request needs a record, for which there is no
// room, and can be asked to come later. New work of the core can. What belongs to
// a dialog or an open transaction goes on without a record, and so does a REGISTER:
// a core that is refused one may sign out the user (TS 24.229 5.4.1.7).
func (s *Server) sheds(m *wire.Message, from flow) bool {
	if !s.table.Reserved() || from.side() != dialogs.Core || bytes.Equal(m.Method, mACK) ||
		bytes.Equal(m.Method, mREGISTER) || bytes.Equal(m.Method, mCANCEL) {
		return false
	}
	_, tag := m.Party(wire.To)
	return len(tag) == 0
}

// strangersPerSecond is how many datagrams of strangers are answered in a second: enough to
// find out what is wrong, too few to be of use against whoever's address they bear.
const strangersPerSecond = 10

// allowance is how much of something is left in this second.
type allowance struct{ second, taken atomic.Int64 }

// take takes one; false: there is none left.
func (a *allowance) take(now time.Time) bool {
	s := now.Unix()
	if a.second.Swap(s) != s {
		a.taken.Store(0)
	}
	return a.taken.Add(1) <= strangersPerSecond
}
