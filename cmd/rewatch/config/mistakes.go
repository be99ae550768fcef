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

// reject notes a mistake. The first word on a variable stands: what follows from
// a wrong value is no news.
func (in *inspection) reject(name, accepted string) {
	if _, ok := in.rejected[name]; !ok {
		in.rejected[name] = accepted
	}
}

// ok says whether a variable can be relied on in a check of another one.
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

// found is the value as it may be printed.
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
		return "=" + quoted(WithoutUserinfo(value))
	}
}

var userinfo = regexp.MustCompile(`(https?://)[^/@\s,]+@|(rediss?(?:\+[a-z]+)?://)[^/\s]+@`)

// WithoutUserinfo masks the credentials that the URL of a sink or of Redis may carry.
func WithoutUserinfo(s string) string { return userinfo.ReplaceAllString(s, "${1}${2}"+masked+"@") }

// quoted keeps a mistake on one line, whatever the value holds.
func quoted(s string) string {
	const enough = 120
	if len(s) > enough {
		return fmt.Sprintf("%q...", s[:enough])
	}
	return fmt.Sprintf("%q", s)
}
