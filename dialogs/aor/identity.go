package aor

import "bytes"

// Readable says whether one of the URIs names a user.
func Readable(uris [][]byte) bool {
	var scratch [MaxScratch]byte
	for _, uri := range uris {
		if _, ok := Append(scratch[:0], uri); ok {
			return true
		}
	}
	return false
}

// Contradicts says whether the asserted identities of a SUBSCRIBE, which are URIs, name another
// user than its From, a URI. Then the To of a NOTIFY in its dialog does not name the watcher.
func Contradicts(asserted [][]byte, from []byte) bool {
	var scratch [2][MaxScratch]byte
	claimed, ok := Append(scratch[0][:0], from)
	readable := false
	for _, uri := range asserted {
		aor, sound := Append(scratch[1][:0], uri)
		if ok && sound && bytes.Equal(aor, claimed) {
			return false
		}
		readable = readable || sound
	}
	return readable
}

// NamesUser tells whether any of these URIs, canonical or not, names a user, and not a host alone.
func NamesUser(uris [][]byte) bool {
	var scratch [MaxScratch]byte
	for _, uri := range uris {
		if aor, ok := Append(scratch[:0], uri); ok && (bytes.IndexByte(aor, '@') >= 0 || bytes.HasPrefix(aor, []byte("tel:"))) {
			return true
		}
	}
	return false
}
