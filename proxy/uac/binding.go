package uac

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// binding is one Contact that a registrar lists.
type binding struct {
	uri      string // as it is spelt
	instance string // +sip.instance (RFC 5626) or that of a GRUU, without quotes
	// gruus are those that the registrar has assigned (RFC 5627).
	gruus   []string
	expired bool // listed, but with no time left
}

// contacts reads all Contact values of a response, compact form included.
func contacts(res *sip.Response) []binding {
	var list []binding
	for _, name := range []string{"Contact", "m"} {
		for _, h := range res.GetHeaders(name) {
			for _, v := range values(h.Value()) {
				list = append(list, bindingOf(v))
			}
		}
	}
	return list
}

func bindingOf(v string) binding {
	b := binding{uri: bareURI(v)}
	params := ""
	if i := strings.LastIndexByte(unquoted(v), '>'); i >= 0 {
		params = v[i+1:]
	} else if uri, rest, ok := strings.Cut(v, ";"); ok {
		// Without brackets the parameters belong to the header (RFC 3261 20.10).
		b.uri, params = strings.TrimSpace(uri), rest
	}
	for _, p := range split(params, ';') {
		name, value, _ := strings.Cut(p, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "expires":
			b.expired = value == "0"
		case "+sip.instance":
			b.instance = instanceOf(value)
		case "pub-gruu", "temp-gruu":
			b.gruus = append(b.gruus, value)
		}
	}
	if b.instance == "" {
		b.instance = instanceOf(uriParam(b.uri, "gr"))
	}
	return b
}

// instanceOf gives an instance as it is compared.
func instanceOf(s string) string { return strings.ToLower(strings.Trim(s, "\"<> ")) }

// uriParam is a parameter of a URI; empty if it has none, or no value.
func uriParam(uri, name string) string {
	var u sip.Uri
	if err := sip.ParseUri(uri, &u); err != nil {
		return ""
	}
	value, _ := u.UriParams.Get(name)
	return value
}

// remaining gives the first binding of the list that should have been removed with ours, in the
// spelling of the registrar, and says whether there are others. An emergency registration
// stays: rewatch must not end it.
func remaining(list []binding, ours binding) (left string, others bool) {
	for _, b := range list {
		switch {
		case b.expired:
		case hasParam(b.uri, "sos"):
			others = true
		case ours.uri != everything && !same(b, ours):
			others = true
		case left == "":
			left = b.uri
		}
	}
	return left, others
}

// same says whether two bindings are of one client: by instance, if both have one, because two
// clients may share an address behind a border element; else by GRUU or location. This is wider
// than the comparison of RFC 3261 19.1.4: with any other parameters, the same user at the same
// host and port is the same client.
func same(a, b binding) bool {
	if a.instance != "" && b.instance != "" {
		return a.instance == b.instance
	}
	return place(a.uri) == place(b.uri) || a.assigned(b.uri) || b.assigned(a.uri)
}

// assigned says whether a URI is a GRUU of this binding.
func (b binding) assigned(uri string) bool {
	for _, g := range b.gruus {
		if place(g) == place(uri) && uriParam(g, "gr") == uriParam(uri, "gr") {
			return true
		}
	}
	return false
}

// location is what two Contact URIs of one client have in common.
type location struct {
	user, host string
	port       int
}

func place(uri string) location {
	var u sip.Uri
	if err := sip.ParseUri(uri, &u); err != nil || u.Host == "" {
		return location{host: uri}
	}
	user, err := url.PathUnescape(u.User)
	if err != nil {
		user = u.User
	}
	host := strings.ToLower(strings.Trim(u.Host, "[]"))
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.String()
	}
	return location{user: user, host: host, port: port(&u)}
}

// port is the port of a client, the default if there is none: some registrars write the
// default.
func port(u *sip.Uri) int {
	switch {
	case u.Port != 0:
		return u.Port
	case strings.EqualFold(u.Scheme, "sips"):
		return 5061
	}
	if t, ok := u.UriParams.Get("transport"); ok && strings.EqualFold(t, "tls") {
		return 5061
	}
	return 5060
}

// values splits a header into its comma-separated values.
func values(header string) []string {
	list := split(header, ',')
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// split cuts s at sep, where it stands outside quotes and angle brackets.
func split(s string, sep byte) []string {
	var list []string
	masked := unquoted(s)
	start, inside := 0, false
	for i := range len(masked) {
		switch masked[i] {
		case '<':
			inside = true
		case '>':
			inside = false
		case sep:
			if !inside {
				list = append(list, s[start:i])
				start = i + 1
			}
		}
	}
	if start < len(s) {
		list = append(list, s[start:])
	}
	return list
}

// unquoted is s with all quoted text overwritten, of the same length.
func unquoted(s string) string {
	b := []byte(s)
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '"':
			quoted = !quoted
		case quoted && b[i] == '\\' && i+1 < len(b):
			b[i], b[i+1] = '_', '_'
			i++
		case quoted:
			b[i] = '_'
		}
	}
	return string(b)
}
