package proxy

import "bytes"

// quoted finds our branch in the beginning of a datagram that came back.
func quoted(payload []byte) (b branch, method []byte, ok bool) {
	sp := bytes.IndexByte(payload, ' ')
	i := bytes.Index(payload, branchStart)
	if sp <= 0 || i < 0 || bytes.HasPrefix(payload, []byte("SIP/")) {
		return b, nil, false
	}
	end := i
	for end < len(payload) && tokenByte(payload[end]) {
		end++
	}
	b, ok = parseBranch(payload[i:end])
	return b, payload[:sp], ok
}

func tokenByte(c byte) bool {
	return c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
