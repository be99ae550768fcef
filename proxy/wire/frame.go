package wire

import (
	"bytes"
	"slices"
)

// FrameFrom finds the first message of a stream (RFC 3261 18.3): skip bytes of empty
// lines come before it, n is its length, 0 while more bytes are needed to tell. A message
// without a Content-Length has no body; one whose end cannot be told is an error,
// because nothing after it can be found. Whether the message is valid is another question, which
// Scan answers: an invalid message is no reason to close a stream that others share.
//
// The first seen bytes of b have been searched before, and have no complete header section: so
// each byte is searched once, even if a sender sends single bytes.
func FrameFrom(b []byte, seen int) (skip, n int, err error) {
	for skip < len(b) && (b[skip] == '\r' || b[skip] == '\n') {
		skip++
	}
	b = b[skip:]
	end := headEnd(b, seen-skip)
	if end < 0 {
		if !plausible(b) {
			return skip, 0, ErrNotSIP
		}
		return skip, 0, nil
	}
	length, err := announced(b[:end], b[end:])
	if err != nil {
		return skip, 0, err
	}
	return skip, end + length, nil
}

// headEnd is the offset after the empty line, -1 if it is not there yet. The line end before it may
// be the last byte that was seen.
func headEnd(b []byte, seen int) int {
	for at := max(0, seen-len("\n\r")); ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		switch {
		case at < len(b) && b[at] == '\n':
			return at + 1
		case at+1 < len(b) && b[at] == '\r' && b[at+1] == '\n':
			return at + 2
		}
	}
}

// plausible tells whether b may be the beginning of a message: it begins with a method or a
// version.
func plausible(b []byte) bool {
	for _, c := range b[:min(len(b), 16)] {
		if c == ' ' {
			return true
		}
		if !tokens[c] && c != '/' {
			return false
		}
	}
	return true
}

// maxLengths bounds the different lengths that a message may announce.
const maxLengths = 4

// announced reads the Content-Length of a header section; after has the bytes after that.
func announced(head, after []byte) (int, error) {
	var line Line
	var room [maxLengths]int
	lengths := room[:0]
	for at := 0; at < len(head) && line.scan(head, at, len(head)) > 0; at = line.End {
		if line.Name != ContentLength {
			continue
		}
		n, ok := Uint(head[line.Value:line.ValueEnd])
		switch {
		case !ok || n > 1<<30:
			return 0, &HeaderError{malformed, ContentLength.String()}
		case slices.Contains(lengths, int(n)):
		case len(lengths) == maxLengths:
			return 0, &HeaderError{doubled, ContentLength.String()}
		default:
			lengths = append(lengths, int(n))
		}
	}
	switch len(lengths) {
	case 0:
		return 0, nil
	case 1:
		return lengths[0], nil
	}
	return agreed(lengths, after)
}

// agreed chooses from several lengths one that fits the bytes: after it another message begins, or
// no byte has come. It is the longest that fits, so that a part of a body is not taken for a
// message. The message itself is invalid (RFC 4475 3.3.9), but the stream can go on.
func agreed(lengths []int, after []byte) (int, error) {
	fits := -1
	for _, n := range lengths {
		if n > fits && n <= len(after) && begins(after[n:]) {
			fits = n
		}
	}
	if fits < 0 {
		return 0, &HeaderError{doubled, ContentLength.String()}
	}
	return fits, nil
}

// methods are the registered ones. Any token would be too lenient: the rest of a method that was cut
// is a token, too.
var methods = [...]string{
	"ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER",
	"SUBSCRIBE", "UPDATE",
}

// begins tells whether b is empty or begins with the start line of a message.
func begins(b []byte) bool {
	b = bytes.TrimLeft(b, "\r\n")
	if len(b) == 0 {
		return true
	}
	end, next := lineEnd(b, 0)
	var m Message
	if next < 0 || m.startLine(b[:end]) != nil {
		return false
	}
	return !m.Request || slices.Contains(methods[:], string(m.Method))
}
