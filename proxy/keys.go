package proxy

import (
	"rewatch/proxy/draft"
	"rewatch/proxy/wire"
)

// ownBranch reads the branch of a Via value if that value is ours.
func (s *Server) ownBranch(value []byte) (draft.Branch, bool) {
	via, ok := wire.ParseVia(value)
	if !ok {
		return draft.Branch{}, false
	}
	b, ok := draft.ParseBranch(via.Branch)
	if !ok || b.Local >= len(s.locals) {
		return draft.Branch{}, false
	}
	return b, s.ownVia(&via)
}

func (s *Server) ownVia(via *wire.ViaValue) bool {
	return s.names.Find(via.Host, int(draft.SentByPort(via))) != nil
}

// cancelTwist sets the record of a CANCEL apart from that of its INVITE, with
// which it shares the branch.
const cancelTwist = 0x9e3779b97f4a7c15

// recordKey is where the record of a request is found.
func recordKey(key uint64, method []byte) uint64 {
	if string(method) == "CANCEL" {
		return key ^ cancelTwist
	}
	return key
}
