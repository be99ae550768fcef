package wire

import "bytes"

// Frame finds the first message of a stream (RFC 3261 18.3): skip bytes of empty
// lines come before it, n is its length, 0 while more bytes are needed to tell. A message
// without a Content-Length has no body; one that cannot be read at all is an
// error, because nothing behind it can be found. So is one of more than MaxLines
// lines: a sender that brings them byte by byte has us look at all of them each time.
func Frame(b []byte) (skip, n int, err error) {
	for skip < len(b) && (b[skip] == '\r' || b[skip] == '\n') {
		skip++
	}
	b = b[skip:]
	end, err := headEnd(b)
	if err != nil {
		return skip, 0, err
	}
	if end < 0 {
		if !plausible(b) {
			return skip, 0, ErrNotSIP
		}
		return skip, 0, nil
	}
	length, err := announced(b[:end])
	if err != nil {
		return skip, 0, err
	}
	return skip, end + length, nil
}

// headEnd is the offset behind the empty line, -1 if it is not there yet.
func headEnd(b []byte) (int, error) {
	at := 0
	for range MaxLines + 1 { // and the start line
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1, nil
		}
		at += i + 1
		switch {
		case at < len(b) && b[at] == '\n':
			return at + 1, nil
		case at+1 < len(b) && b[at] == '\r' && b[at+1] == '\n':
			return at + 2, nil
		}
	}
	return 0, ErrTooMany
}

// plausible tells whether b may be the beginning of a message: it begins with a
// method, or with a version, and not with noise.
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

// announced reads the Content-Length of a header section. Two that differ leave
// open where the next message begins, and one could be smuggled in between.
func announced(head []byte) (int, error) {
	var line Line
	length := -1
	for at := 0; at < len(head) && line.scan(head, at, MaxLines) > 0; at = line.End {
		if line.Name != ContentLength {
			continue
		}
		n, ok := Uint(head[line.Value:line.ValueEnd])
		if !ok || n > 1<<30 {
			return 0, &HeaderError{malformed, ContentLength.String()}
		}
		if length >= 0 && length != int(n) {
			return 0, &HeaderError{doubled, ContentLength.String()}
		}
		length = int(n)
	}
	return max(length, 0), nil
}
