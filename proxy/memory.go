package proxy

import (
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
)

// Budget is the memory that a Server takes at most, in bytes: by so many transactions, by the
// streams of both sides, where so many may be accepted on each, and beside these by so many
// datagram sockets and all that is small.
func Budget(maxTransactions, maxStreams, sockets int) (transactions, streams, others int64) {
	const (
		perParked = 512     // beside the request
		perSocket = 4 << 20 // the batches that are read and written
		small     = 16 << 20
	)
	return transaction.Budget(maxTransactions), 2 * transport.Budget(transport.StreamConfig{MaxStreams: maxStreams}),
		maxParkedBytes + maxParked*perParked + int64(sockets)*perSocket + small
}

// Usage is the memory that transactions and streams take, in bytes, as far as it grows with
// what others send.
func (s *Server) Usage() int64 {
	used := s.table.Usage()
	for _, streams := range s.streams {
		if streams != nil {
			used += streams.Usage()
		}
	}
	return used
}

// Tighten says whether memory is short: nothing gets a record or a further connection then.
func (s *Server) Tighten(tight bool) {
	s.table.Tight.Store(tight)
	for _, streams := range s.streams {
		if streams != nil {
			streams.Tight.Store(tight)
		}
	}
}
