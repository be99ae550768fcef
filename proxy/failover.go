package proxy

import (
	"errors"
	"io"

	"rewatch/proxy/resolve"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
)

// What ends a request before any response does.
var (
	errNoHop    = errors.New("no next hop")
	errNoSocket = errors.New("no socket of that side speaks the next hop's transport")
	errStreams  = errors.New("too many streams")
	errEdits    = errors.New("more Route entries of ours than a message can have")
	// errStaleStream marks the end of a connection that had stood.
	errStaleStream = errors.New("connection ended")
)

// causeOf tells what an error says of the hop.
func causeOf(err error) transaction.Cause {
	switch {
	case errors.Is(err, transport.ErrOurs):
		return transaction.Interrupted
	case crowded(err):
		return transaction.Overloaded
	case errors.Is(err, transport.ErrTooLong):
		return transaction.Oversized
	case errors.Is(err, errStaleStream) && errors.Is(err, io.EOF):
		return transaction.Closed
	case errors.Is(err, errStaleStream):
		return transaction.Stale
	default:
		return transaction.Refused
	}
}

// failed tells a transaction that a send has failed. What follows from it is done.
// false: there is no such transaction.
func (w *worker) failed(key uint64, f transaction.Failure, err error) (known bool) {
	f.Cause = causeOf(err)
	e := w.s.table.Fail(key, w.at, &f)
	if !e.Known {
		return false
	}
	w.carry(e)
	if e.Do == 0 && e.End == transaction.NotOver {
		return true
	}
	w.s.log.Debug().Err(err).Stringer("hop", e.Failed.Addr).Msg("next hop failed")
	if e.End == transaction.Unreachable && !errors.Is(err, errStaleStream) {
		w.s.health.lost(e.Failed, err)
	}
	w.conclude(e)
	return true
}

// emitRecorded sends a request that has a transaction; if that fails at once, the
// transaction goes on to its next hop or to its end.
func (w *worker) emitRecorded(from flow, t ticket, h resolve.Hop) {
	err := w.emit(from, t, h)
	if err == nil {
		return
	}
	var f transaction.Failure
	if refused, ok := errors.AsType[*streamError](err); ok {
		f.Stream = refused.stream
	}
	w.failed(t.record, f, err)
}
