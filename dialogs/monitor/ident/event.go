package ident

import (
	"strings"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
)

// SplitEvent splits a stored event ("presence;id=7") into package and id.
func SplitEvent(event string) (e dialogs.Event) {
	pkg, id, _ := strings.Cut(event, IDParam)
	return dialogs.Event{Package: []byte(pkg), ID: []byte(id)}
}

// EventIs says whether a stored event ("presence;id=7") has this package and id.
func EventIs(event string, pkg, id []byte) bool {
	if len(id) == 0 {
		return event == string(pkg)
	}
	return len(event) == len(pkg)+len(IDParam)+len(id) &&
		event[:len(pkg)] == string(pkg) &&
		event[len(pkg):len(pkg)+len(IDParam)] == IDParam &&
		event[len(pkg)+len(IDParam):] == string(id)
}

// IDParam separates package and id in a stored event.
const IDParam = ";id="

// PackageOf is the event package of a stored event.
func PackageOf(event string) string {
	pkg, _, _ := strings.Cut(event, ";")
	return pkg
}

// isPlain says whether b is printable ASCII without spaces, as every Call-ID, tag and URI has
// to be.
func isPlain(b []byte) bool {
	return aor.All(b, func(c byte) bool { return c > ' ' && c < 0x7f })
}

// IsURI says whether a URI can be kept: it is not too long and printable ASCII.
func IsURI(uri []byte) bool { return len(uri) <= aor.MaxURI && isPlain(uri) }
