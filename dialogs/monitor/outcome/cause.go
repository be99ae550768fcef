package outcome

import (
	"bytes"
	"slices"
	"strconv"

	"rewatch/dialogs"
)

// MaxCause bounds the reason phrase that is shown to people.
const MaxCause = 64

// Cause is how a failure is told to people.
func Cause(o *dialogs.Outcome) string {
	switch o.Kind {
	case dialogs.TimedOut:
		return "408 Request Timeout"
	case dialogs.Unreachable:
		return "503 Service Unavailable"
	case dialogs.Responded:
	}
	return StatusText(o.Status, o.Reason)
}

// StatusText is a status line without its version, for people.
func StatusText(status int, reason []byte) string {
	text := strconv.Itoa(status)
	if r := Printable(reason, MaxCause); r != "" {
		text += " " + r
	}
	return text
}

// Printable bounds text of a peer for a MESSAGE, a log or a ladder.
func Printable(b []byte, limit int) string {
	return string(AppendPrintable(make([]byte, 0, min(len(b), limit)), b, limit))
}

// AppendPrintable appends the same to dst, which is empty.
func AppendPrintable(out, b []byte, limit int) []byte {
	for _, c := range bytes.TrimSpace(b) {
		if len(out) == limit {
			break
		}
		if c >= ' ' && c < 0x7f {
			out = append(out, c)
		}
	}
	return out
}

// Label is the metric label of a failure: the codes of RFC 3261 and of the
// extensions that have any business in a NOTIFY, and little else.
func Label(o *dialogs.Outcome) string {
	switch o.Kind {
	case dialogs.TimedOut:
		return "timeout"
	case dialogs.Unreachable:
		return "unreachable"
	case dialogs.Responded:
	}
	if slices.Contains(labelled, o.Status) {
		return strconv.Itoa(o.Status)
	}
	return "other"
}

var labelled = []int{
	300, 301, 302, 305, 380,
	400, 402, 403, 404, 405, 406, 408, 410, 412, 413, 414, 415, 416, 417,
	420, 421, 422, 423, 424, 428, 429, 430, 433, 436, 437, 438, 439, 440,
	469, 470, 480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 491, 493, 494,
	500, 501, 502, 503, 504, 505, 513, 555, 580,
	600, 603, 604, 606, 607, 608,
}

// Labels lists every value of Label.
func Labels() []string {
	labels := []string{"timeout", "unreachable", "other"}
	for _, status := range labelled {
		labels = append(labels, strconv.Itoa(status))
	}
	return labels
}
