package monitor

import (
	"strings"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
)

// This file knows how an event is stored as text, and what text is kept at all.

// splitEvent parts a stored event ("presence;id=7") into package and id.
func splitEvent(event string) (e dialogs.Event) {
	pkg, id, _ := strings.Cut(event, idParam)
	return dialogs.Event{Package: []byte(pkg), ID: []byte(id)}
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

// maxSeconds bounds every delta-seconds: the 2**32-1 of RFC 3261 is for ever.
const maxSeconds = 1 << 31

// isPlain says whether b is printable ASCII without spaces, as every Call-ID,
// tag and URI is.
func isPlain(b []byte) bool {
	return aor.All(b, func(c byte) bool { return c > ' ' && c < 0x7f })
}
