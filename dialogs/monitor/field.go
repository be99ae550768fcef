package monitor

import (
	"bytes"
	"strings"

	"rewatch/dialogs/aor"
)

// This file reads the few header values that the Monitor looks into. All
// results are slices of the input, so nothing here allocates.

// parseEvent gives the package and the id parameter of an Event header. They
// are compared byte by byte (RFC 6665 8.2.1). What is not a token is no package.
func parseEvent(h []byte) (pkg, id []byte) {
	pkg, params, _ := bytes.Cut(h, []byte{';'})
	pkg = bytes.TrimSpace(pkg)
	if !isToken(pkg) {
		return nil, nil
	}
	if id = aor.Param(params, "id"); !isToken(id) {
		id = nil
	}
	return pkg, id
}

// eventIs says whether a stored event ("presence;id=7") is this package and id.
func eventIs(event string, pkg, id []byte) bool {
	if len(id) == 0 {
		return event == string(pkg)
	}
	return len(event) == len(pkg)+len(idParam)+len(id) &&
		event[:len(pkg)] == string(pkg) &&
		event[len(pkg):len(pkg)+len(idParam)] == idParam &&
		event[len(pkg)+len(idParam):] == string(id)
}

const idParam = ";id="

// packageOf is the package of a stored event.
func packageOf(event string) string {
	pkg, _, _ := strings.Cut(event, ";")
	return pkg
}

// state is a Subscription-State header: whether it says that the subscription
// is over, and its expires parameter (-1: absent).
type state struct {
	terminated bool
	expires    int
}

// parseState tolerates a header that is missing, as some servers leave it out.
func parseState(h []byte) state {
	value, params, _ := bytes.Cut(h, []byte{';'})
	if aor.EqualFold(bytes.TrimSpace(value), "terminated") {
		return state{terminated: true, expires: -1}
	}
	return state{expires: seconds(aor.Param(params, "expires"))}
}

// hasFlag says whether a parameter stands anywhere after the first ";", with or
// without a value, in the URI or behind it.
func hasFlag(value []byte, name string) bool {
	for {
		i := bytes.IndexByte(value, ';')
		if i < 0 {
			return false
		}
		value = value[i+1:]
		n := 0
		for n < len(value) && aor.IsAlnum(value[n]) {
			n++
		}
		if aor.EqualFold(value[:n], name) {
			return true
		}
	}
}

// maxSeconds bounds every delta-seconds: the 2**32-1 of RFC 3261 is for ever.
const maxSeconds = 1 << 31

// seconds reads delta-seconds; -1 if there are none.
func seconds(b []byte) int {
	if len(b) == 0 || !aor.All(b, aor.IsDigit) {
		return -1
	}
	n := 0
	for _, c := range b {
		if n = n*10 + int(c-'0'); n > maxSeconds {
			return maxSeconds
		}
	}
	return n
}

func isToken(b []byte) bool {
	return len(b) > 0 && aor.All(b, func(c byte) bool {
		return aor.IsAlnum(c) || strings.IndexByte("-.!%*_+`'~", c) >= 0
	})
}

// isPlain says whether b is printable ASCII without spaces, as every Call-ID,
// tag and URI is.
func isPlain(b []byte) bool {
	return aor.All(b, func(c byte) bool { return c > ' ' && c < 0x7f })
}
