package proxy

import (
	"bytes"
	"sync"
)

// ownSent remembers by which stream a request of our own has left, so that its
// sender can be told when that stream ends. Everything else about our own requests
// is package uac's.
type ownSent struct {
	mu       sync.Mutex
	byStream map[uint64][][]byte
}

// maxOwnSent bounds what is remembered of one stream: the latest ones, of which
// alone some may still be waiting.
const maxOwnSent = 64

func (o *ownSent) add(stream uint64, branch []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byStream == nil {
		o.byStream = make(map[uint64][][]byte)
	}
	list := append(o.byStream[stream], branch)
	o.byStream[stream] = list[max(0, len(list)-maxOwnSent):]
}

func (o *ownSent) take(stream uint64) [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.byStream[stream]
	delete(o.byStream, stream)
	return list
}

// ownRequest finds the branch of a request of our own in its bytes, or in as many
// of them as came back.
func (s *Server) ownRequest(raw []byte) ([]byte, bool) {
	if len(s.ownPrefix) == 0 || bytes.HasPrefix(raw, []byte("SIP/")) {
		return nil, false
	}
	i := bytes.Index(raw, s.ownPrefix)
	if i < 0 {
		return nil, false
	}
	end := i
	for end < len(raw) && tokenByte(raw[end]) {
		end++
	}
	return bytes.Clone(raw[i:end]), end < len(raw)
}

// ownLost tells that a request of our own did not arrive.
func (s *Server) ownLost(branches ...[]byte) {
	if s.cfg.OwnUnreachable == nil {
		return
	}
	for _, b := range branches {
		s.cfg.OwnUnreachable(b)
	}
}
