package outcome

import (
	"bytes"
	"slices"
	"strconv"

	"rewatch/dialogs"
)

// MaxCause bounds the reason phrase in a Cause, in bytes.
const MaxCause = 64

// unanswered says how an outcome without a final response is shown, by its kind.
var unanswered = [...]struct{ label, cause string }{
	dialogs.TimedOut:    {"timeout", "408 Request Timeout"},
	dialogs.Unreachable: {"unreachable", "503 Service Unavailable"},
}

// labelled are the status codes that have a metric label: those of RFC 3261 and of the
// extensions that a NOTIFY may be answered with. All others share one, so that a peer
// cannot grow the metrics.
var labelled = []int{
	300, 301, 302, 305, 380,
	400, 402, 403, 404, 405, 406, 408, 410, 412, 413, 414, 415, 416, 417,
	420, 421, 422, 423, 424, 428, 429, 430, 433, 436, 437, 438, 439, 440,
	469, 470, 480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 491, 493, 494,
	500, 501, 502, 503, 504, 505, 513, 555, 580,
	600, 603, 604, 606, 607, 608,
}

const otherLabel = "other"

// Cause is the text of a failure for MESSAGEs, logs and ladders.
func Cause(o *dialogs.Outcome) string {
	if o.Kind != dialogs.Responded {
		return unanswered[o.Kind].cause
	}
	return StatusText(o.Status, o.Reason)
}

// Label is the metric label of a failure.
func Label(o *dialogs.Outcome) string {
	switch {
	case o.Kind != dialogs.Responded:
		return unanswered[o.Kind].label
	case slices.Contains(labelled, o.Status):
		return strconv.Itoa(o.Status)
	}
	return otherLabel
}

// Labels lists every value of Label.
func Labels() []string {
	labels := []string{unanswered[dialogs.TimedOut].label, unanswered[dialogs.Unreachable].label, otherLabel}
	for _, status := range labelled {
		labels = append(labels, strconv.Itoa(status))
	}
	return labels
}

// StatusText is a status line without the SIP version.
func StatusText(status int, reason []byte) string {
	text := strconv.Itoa(status)
	if r := Printable(reason, MaxCause); r != "" {
		text += " " + r
	}
	return text
}

// Printable gives at most limit bytes of a peer's text, and of those only printable ASCII.
func Printable(b []byte, limit int) string {
	return string(AppendPrintable(make([]byte, 0, min(len(b), limit)), b, limit))
}

// AppendPrintable appends what Printable gives to out, which has to be empty.
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
