package uac

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxHeaders bounds the header fields that an operator adds: with them a MESSAGE has to stay
// below 1300 bytes and still have room for its body.
const maxHeaders = 400

// Header is a header field that is added to requests of rewatch's own.
type Header struct{ Name, Value string }

// ours are the header fields that rewatch sets itself, or whose value only the sender of a
// request knows. A second one, or a wrong one, would break the request.
var ours = []string{
	"via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "max-forwards", "route", "record-route", "contact", "m",
	"content-length", "l", "content-type", "c", "content-encoding", "e", "expires", "date", "user-agent",
	"p-asserted-identity", "p-charging-vector", "authorization", "proxy-authorization", "proxy-require", "require",
	"event", "o", "subscription-state", "path", "service-route", "www-authenticate", "proxy-authenticate",
}

// ParseHeaders reads lines of "Name: value". Blank lines are left out, and those that
// begin with "#".
func ParseHeaders(text string) ([]Header, error) {
	var headers []Header
	size := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		h := Header{strings.TrimSpace(name), strings.TrimSpace(value)}
		switch {
		case !ok || !token(h.Name):
			return nil, fmt.Errorf("no header field: %.40q", line)
		case h.Value == "":
			return nil, fmt.Errorf("%s without a value", h.Name)
		case h.Value != clean(h.Value):
			return nil, fmt.Errorf("%s with a control character", h.Name)
		case slices.Contains(ours, strings.ToLower(h.Name)):
			return nil, fmt.Errorf("%s, which rewatch sets itself or which would break the request", h.Name)
		}
		headers = append(headers, h)
		size += len(h.Name) + len(h.Value) + len(": \r\n")
	}
	if size > maxHeaders {
		return nil, fmt.Errorf("%d bytes, where a MESSAGE has room for %d", size, maxHeaders)
	}
	if len(headers) == 0 && strings.TrimSpace(text) != "" {
		return nil, errors.New("no header field in it")
	}
	return headers, nil
}

// token is that of RFC 3261 25.1.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z'
		return !letter && (r < '0' || r > '9') && !strings.ContainsRune("-.!%*_+`'~", r)
	})
}

// addOwn adds the header fields of the operator.
func (c *Client) addOwn(d *draft) {
	for _, h := range c.cfg.Headers {
		d.add(h.Name, h.Value)
	}
}
