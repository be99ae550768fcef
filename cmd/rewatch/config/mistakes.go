package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"rewatch/cmd/rewatch/cli"
)

// Mistake is one wrong variable.
type Mistake struct {
	Variable string
	Found    string // what it is: `="40s"`, " is not set", " is not known"
	Want     string // what is accepted
}

func (m Mistake) Error() string { return m.Variable + m.Found + ": " + m.Want }

// Mistakes is everything that is wrong with a configuration, in the order of the
// table of variables.
type Mistakes []Mistake

func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// inspection gathers the mistakes of one configuration.
type inspection struct {
	environ  cli.Environ
	known    []Variable
	rejected map[string]string // variable -> what is accepted
	unknown  Mistakes
}

func newInspection(environ cli.Environ) *inspection {
	return &inspection{environ: environ, known: Variables(), rejected: map[string]string{}}
}

// reject notes a mistake. Only the first mistake of a variable is reported, because others may
// follow from it.
func (in *inspection) reject(name, accepted string) {
	if _, ok := in.rejected[name]; !ok {
		in.rejected[name] = accepted
	}
}

// ok says whether no mistake was found in some variables, so that a check of another one can rely
// on them.
func (in *inspection) ok(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		_, wrong := in.rejected[name]
		return wrong
	})
}

func (in *inspection) verdict() error {
	var found Mistakes
	for _, v := range in.known {
		if accepted, ok := in.rejected[v.Name]; ok {
			found = append(found, Mistake{v.Name, in.found(v), "want " + accepted})
		}
	}
	found = append(found, in.unknown...)
	if len(found) == 0 {
		return nil
	}
	return found
}

// found is the value of a variable, quoted and without secrets.
func (in *inspection) found(v Variable) string {
	value, ok := in.environ[v.Name]
	switch {
	case !ok && v.Default != "":
		return "=" + quoted(v.Default)
	case !ok:
		return " is not set"
	case v.Secret && value != "":
		return "=" + masked
	default:
		return "=" + quoted(WithoutSecrets(value))
	}
}

// These parts of a value may be secrets: user and path of an HTTP URL (the path of a webhook is often
// its key), the user of a Redis URL, and a password before the host of any other URI.
var (
	httpURL  = regexp.MustCompile(`(?i)(https?://)([^/@\s,?#]*@)?([^/\s,?#]*)([/?#][^\s,]*)?`)
	redisURL = regexp.MustCompile(`(?i)(rediss?(?:\+[a-z]+)?://)[^/\s]+@`)
	password = regexp.MustCompile(`(?i)(sips?:|[a-z][a-z0-9+.-]*://)?([^\s,@/:<>]+):([^\s,@]*)@`)
)

// WithoutSecrets is a value with asterisks in place of what may be a secret.
func WithoutSecrets(s string) string {
	s = httpURL.ReplaceAllStringFunc(s, func(u string) string {
		m := httpURL.FindStringSubmatch(u)
		shown := m[1]
		if m[2] != "" {
			shown += masked + "@"
		}
		if shown += m[3]; len(m[4]) > 1 {
			return shown + "/" + masked
		}
		return shown + m[4]
	})
	s = redisURL.ReplaceAllString(s, "${1}"+masked+"@")
	return password.ReplaceAllStringFunc(s, func(u string) string {
		m := password.FindStringSubmatch(u)
		scheme := m[1] == "" && (strings.EqualFold(m[2], "sip") || strings.EqualFold(m[2], "sips") || strings.HasPrefix(m[3], "//"))
		if scheme || m[3] == "" { // no password: sip:user@host
			return u
		}
		return m[1] + m[2] + ":" + masked + "@"
	})
}

// quoted quotes a value, so that a mistake stays on one line.
func quoted(s string) string {
	const enough = 120
	if len(s) > enough {
		return fmt.Sprintf("%q...", s[:enough])
	}
	return fmt.Sprintf("%q", s)
}
