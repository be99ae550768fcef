// Package pseudonym replaces the addresses of users in texts that leave rewatch, such as
// logs and alarms, by keyed hashes. Whoever has the key can compute the pseudonym of an
// address and look for it; nobody can compute the address.
package pseudonym

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"regexp"
	"strings"

	"rewatch/dialogs/aor"
)

// MinKey is the least length of a key, in bytes.
const MinKey = 16

// prefix begins every pseudonym, so that a reader sees what it is.
const prefix = "user-"

// length is how many bytes of the hash are shown: of a million users two share a
// pseudonym with a probability of one in thirty million.
const length = 8

// Maker makes pseudonyms with one key. A nil Maker leaves everything as it is.
type Maker struct{ key []byte }

// New returns a Maker; an empty key gives nil.
func New(key string) *Maker {
	if key == "" {
		return nil
	}
	return &Maker{key: []byte(key)}
}

// Of is the pseudonym of an address, however it is spelt.
func (m *Maker) Of(address string) string {
	if m == nil {
		return address
	}
	if c, ok := aor.Canonical(address); ok {
		address = c
	}
	mac := hmac.New(sha256.New, m.key)
	mac.Write([]byte(address))
	return prefix + hex.EncodeToString(mac.Sum(nil)[:length])
}

// address finds what names a user: a SIP URI with a user part, and a telephone number.
// A URI without a user part is a machine's. Quotes and backslashes end it, for it may
// stand in JSON.
var address = regexp.MustCompile(`(?i)\b(?:sips?(?::|%3a)[^\s"'<>@\\,\x00-\x1f]+(?:@|%40)(?:\[[0-9a-f:.]+\]|[0-9a-z._-]*[0-9a-z])(?::[0-9]+)?|tel(?::|%3a)\+?[0-9*#][0-9*#.()-]*)(?:;[^\s"'<>\\,)]*)?`)

// In replaces every address in a text.
func (m *Maker) In(text string) string {
	if m == nil || !mayHave(text) {
		return text
	}
	return address.ReplaceAllStringFunc(text, func(uri string) string {
		uri, _, _ = strings.Cut(uri, ";")
		return m.Of(escapes.Replace(uri))
	})
}

// escapes undoes what a URL does to an address.
var escapes = strings.NewReplacer("%3a", ":", "%3A", ":", "%40", "@", "%2b", "+", "%2B", "+")

// mayHave says whether a text may have an address in it; most lines of a log have none.
func mayHave(text string) bool {
	lower := strings.ToLower(text)
	return strings.Contains(lower, "sip") || strings.Contains(lower, "tel")
}

// Writer replaces every address in what is written to w, one line at a time; each Write
// has to be whole lines.
func (m *Maker) Writer(w io.Writer) io.Writer {
	if m == nil {
		return w
	}
	return writer{m, w}
}

type writer struct {
	maker *Maker
	out   io.Writer
}

func (w writer) Write(line []byte) (int, error) {
	text := w.maker.In(string(bytes.ToValidUTF8(line, []byte("?"))))
	if _, err := io.WriteString(w.out, text); err != nil {
		return 0, err
	}
	return len(line), nil
}
