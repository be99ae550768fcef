package wire

import "bytes"

// ViaValue is one parsed Via value (RFC 3261 20.42). Its slices alias the value.
type ViaValue struct {
	Transport []byte // "UDP"
	Host      []byte
	Port      int // 0: none
	Params    []byte
	// The parameters that routing needs; nil if absent, empty without a value.
	Branch   []byte
	Received []byte
	RPort    []byte
	MAddr    []byte
	// HasRPort: the rport parameter is there (RFC 3581), with or without value.
	HasRPort bool
	// ReceivedSpan and RPortSpan are the places of these parameters in the value, with their
	// names. Each is empty if the parameter is absent.
	ReceivedSpan, RPortSpan Span
}

// Span is a range of bytes by its offsets.
type Span struct{ From, To int }

// ParseVia parses one Via value, as Split gives it.
func ParseVia(v []byte) (via ViaValue, ok bool) {
	// SIP / 2.0 / UDP host : port ;params, with white space anywhere between.
	protocol := bytes.IndexByte(v, '/')
	if protocol < 0 || !EqualFold(trimmed(v[:protocol]), "sip") {
		return via, false
	}
	version := bytes.IndexByte(v[protocol+1:], '/')
	if version < 0 || !isToken(trimmed(v[protocol+1:protocol+1+version])) {
		return via, false
	}
	from, _ := trim(v, protocol+1+version+1, len(v))
	to := from
	for to < len(v) && tokens[v[to]] {
		to++
	}
	if to == from || to == len(v) || !isSpace(v[to]) {
		return via, false
	}
	via.Transport = v[from:to]
	end := len(v)
	if semi := bytes.IndexByte(v[to:], ';'); semi >= 0 {
		end = to + semi
		via.Params = v[end:]
	}
	if via.Host, via.Port, ok = HostPort(v[to:end]); !ok {
		return via, false
	}
	if q := bytes.IndexByte(v[end:], '"'); q >= 0 && !closed(v, end+q) {
		return via, false // bytes that are inserted after it would be in the quoted string
	}
	via.params(v, end)
	return via, true
}

// closed tells whether the quoted strings of v, of which the first begins at i, end.
func closed(v []byte, i int) bool {
	for ; i < len(v); i++ {
		if v[i] == '"' {
			if i = unquote(v, i); i == len(v) {
				return false
			}
		}
	}
	return true
}

// params reads the parameters that routing a response needs, in one pass over
// v[at:]. Of several with the same name the first counts.
func (via *ViaValue) params(v []byte, at int) {
	for {
		from, eq, to := nextParam(v, at)
		if from == to {
			return
		}
		at = to
		value := v[to:to] // not nil: it is there, without a value
		if eq < to {
			value = trimmed(v[eq+1 : to])
		}
		switch key := trimmed(v[from:eq]); {
		case via.Branch == nil && EqualFold(key, "branch"):
			via.Branch = value
		case via.ReceivedSpan.To == 0 && EqualFold(key, "received"):
			via.Received, via.ReceivedSpan = value, Span{from, to}
		case !via.HasRPort && EqualFold(key, "rport"):
			via.RPort, via.HasRPort, via.RPortSpan = value, true, Span{from, to}
		case via.MAddr == nil && EqualFold(key, "maddr"):
			via.MAddr = value
		}
	}
}
