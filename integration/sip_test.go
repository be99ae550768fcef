//go:build integration

package integration

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A message is one SIP message that a scripted peer received, read just far
// enough for a test to ask for its parts.
type message struct {
	raw       []byte
	at        time.Time
	transport string // "udp" or "tcp"
	source    string // address it came from
	conn      *stream
	again     bool // a retransmission of an earlier request

	method  string // of a request
	uri     string
	status  int // of a response
	reason  string
	headers [][2]string // names in long form and lower case, values unfolded
	body    string
}

// long are the compact forms that occur (RFC 3261 7.3.3, RFC 6665 8.2.1).
var long = map[string]string{
	"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
	"c": "content-type", "o": "event", "u": "allow-events", "k": "supported", "s": "subject", "e": "content-encoding",
}

// parse reads a message; what cannot be read stays empty.
func parse(raw []byte) *message {
	m := &message{raw: raw, at: time.Now()}
	head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	m.body = body
	if strings.Contains(head, "\r\n ") || strings.Contains(head, "\r\n\t") {
		head = strings.NewReplacer("\r\n ", " ", "\r\n\t", " ").Replace(head)
	}
	lines := strings.Split(head, "\r\n")
	start := strings.SplitN(lines[0], " ", 3)
	if len(start) == 3 && start[0] == "SIP/2.0" {
		m.status, _ = strconv.Atoi(start[1])
		m.reason = start[2]
	} else if len(start) == 3 {
		m.method, m.uri = start[0], start[1]
	}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if l, ok := long[name]; ok {
			name = l
		}
		m.headers = append(m.headers, [2]string{name, strings.TrimSpace(value)})
	}
	return m
}

// get is the value of a header, the first one if there are several.
func (m *message) get(name string) string {
	for _, h := range m.headers {
		if h[0] == strings.ToLower(name) {
			return h[1]
		}
	}
	return ""
}

// all are the values of a header that is a list, over all its lines.
func (m *message) all(name string) []string {
	var all []string
	for _, h := range m.headers {
		if h[0] == strings.ToLower(name) {
			all = append(all, splitList(h[1])...)
		}
	}
	return all
}

// splitList splits at the commas that are not in quotes or brackets.
func splitList(s string) []string {
	var list []string
	quoted, angle, from := false, false, 0
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted:
		case s[i] == '<':
			angle = true
		case s[i] == '>':
			angle = false
		case s[i] == ',' && !angle:
			list = append(list, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(list, strings.TrimSpace(s[from:]))
}

// param is a parameter of a header value or URI.
func param(value, name string) string {
	for _, p := range strings.Split(value, ";")[1:] {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(k, name) {
			return strings.TrimRight(v, ">")
		}
	}
	return ""
}

// uriOf is the URI in a name-addr or addr-spec, without header parameters.
func uriOf(value string) string {
	if _, rest, ok := strings.Cut(value, "<"); ok {
		uri, _, _ := strings.Cut(rest, ">")
		return uri
	}
	uri, _, _ := strings.Cut(value, ";")
	return strings.TrimSpace(uri)
}

// userOf is the user part of a URI or name-addr.
func userOf(value string) string {
	uri := uriOf(value)
	_, uri, _ = strings.Cut(uri, ":")
	user, _, ok := strings.Cut(uri, "@")
	if !ok {
		return ""
	}
	return user
}

// hostport is the address in a URI, with the default port.
func hostport(value string) string {
	uri := uriOf(value)
	_, uri, _ = strings.Cut(uri, ":")
	if _, after, ok := strings.Cut(uri, "@"); ok {
		uri = after
	}
	uri, _, _ = strings.Cut(uri, ";")
	if !strings.Contains(uri, ":") {
		uri += ":5060"
	}
	return uri
}

func (m *message) callID() string { return m.get("call-id") }
func (m *message) branch() string { v := m.all("via"); return param(v[0], "branch") }
func (m *message) cseqMethod() string {
	_, method, _ := strings.Cut(m.get("cseq"), " ")
	return strings.TrimSpace(method)
}

func (m *message) cseq() int {
	n, _, _ := strings.Cut(m.get("cseq"), " ")
	i, _ := strconv.Atoi(n)
	return i
}

func (m *message) String() string {
	if m == nil {
		return "nothing"
	}
	first, _, _ := bytes.Cut(m.raw, []byte("\r\n"))
	return fmt.Sprintf("%s (%s, %s)", first, m.callID(), m.get("cseq"))
}
