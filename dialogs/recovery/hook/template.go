package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"rewatch/dialogs"
)

// Placeholders lists the placeholders of a request and its body.
const Placeholders = "{aor} {user} {domain} {contact} {scscf}"

// template is a request with placeholders.
type template struct{ method, url string }

// placeholder is anything that looks like one; JSON has braces of its own, but none
// around a single word.
var placeholder = regexp.MustCompile(`\{[A-Za-z_]+\}`)

// methods are the methods of HTTP that may be used.
var methods = []string{http.MethodDelete, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodGet}

// Names says whether a request or its body names the Contact. A system that is not told the Contact
// signs out all devices of a user.
func Names(request, body string) bool { return strings.Contains(request+body, "{contact}") }

// Check says what is wrong with a request, "METHOD URL" with placeholders; nil: nothing.
func Check(request string) error {
	_, err := parse(request)
	return err
}

// parse reads "METHOD URL". Placeholders may stand in the path and in the query, not in
// the host: a user must not choose whom rewatch talks to.
func parse(request string) (template, error) {
	method, target, ok := strings.Cut(strings.TrimSpace(request), " ")
	t := template{method, strings.TrimSpace(target)}
	if !ok || t.url == "" {
		return t, errors.New("METHOD URL, such as DELETE http://scscf:9886/impu/{aor}")
	}
	if !slices.Contains(methods, method) {
		return t, fmt.Errorf("a method of %s", strings.Join(methods, ", "))
	}
	if strings.ContainsAny(t.url, " \t\r\n") {
		return t, errors.New("one URL without blanks")
	}
	if err := checkPlaceholders(t.url); err != nil {
		return t, err
	}
	u, err := url.Parse(placeholder.ReplaceAllString(t.url, "x"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return t, errors.New("a URL such as http://scscf:9886/impu/{aor}")
	}
	scheme, rest, _ := strings.Cut(t.url, "://")
	if authority := rest[:strings.IndexAny(rest+"/", "/?#")]; placeholder.MatchString(scheme + authority) {
		return t, errors.New("placeholders after the host only: a user must not choose whom rewatch talks to")
	}
	if u.Fragment != "" || strings.Contains(t.url, "#") {
		return t, errors.New("a URL without a fragment")
	}
	return t, nil
}

// CheckBody says what is wrong with a body, which has to be JSON when its placeholders are filled
// in; nil: nothing.
func CheckBody(body string) error {
	if body == "" {
		return nil
	}
	if err := checkPlaceholders(body); err != nil {
		return err
	}
	if !json.Valid([]byte(placeholder.ReplaceAllString(body, "x"))) {
		return errors.New(`JSON, with placeholders inside strings, such as {"user":"{aor}"}`)
	}
	return nil
}

func checkPlaceholders(s string) error {
	for _, p := range placeholder.FindAllString(s, -1) {
		if !slices.Contains(strings.Fields(Placeholders), p) {
			return fmt.Errorf("placeholders of %s, not %s", Placeholders, p)
		}
	}
	return nil
}

// values are what the placeholders stand for.
type values map[string]string

func valuesOf(j dialogs.DeregisterJob) values {
	user, domain := split(j.AOR)
	return values{
		"{aor}": j.AOR, "{user}": user, "{domain}": domain, "{contact}": j.Contact, "{scscf}": j.Route,
	}
}

// split gives the user and the domain of an address of record; a tel URI has only the
// number.
func split(aor string) (user, domain string) {
	_, rest, _ := strings.Cut(aor, ":")
	rest, _, _ = strings.Cut(rest, ";")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		return rest[:i], rest[i+1:]
	}
	return rest, ""
}

// fill replaces the placeholders, each value spelt by escape.
func (v values) fill(s string, escape func(string) string) string {
	return placeholder.ReplaceAllStringFunc(s, func(p string) string { return escape(v[p]) })
}

// percent spells a value for a path or a query: all but letters, digits and "-._~" is
// escaped, the blank as well (RFC 3986 2.3).
func percent(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// jsonString spells a value for the inside of a JSON string.
func jsonString(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	return string(b[1 : len(b)-1])
}
