package proxy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"rewatch/proxy/draft"
	"rewatch/proxy/wire"
)

// edited says why one message is not another with the edits of a proxy, and is not
// our answer to it either. It reads the fields one by one, and knows nothing of how
// they were edited.
func edited(came, left *wire.Message) string {
	switch {
	case came.Request && !left.Request:
		return answers(came, left)
	case came.Request != left.Request:
		return "a response became a request"
	case !came.Request:
		return first(
			unlike("status line", came.Raw[:came.Head], left.Raw[:left.Head]),
			unlike("Vias", behind(list(came, wire.Via)), list(left, wire.Via)),
			untouched(came, left))
	}
	return first(
		unlike("method", came.Method, left.Method),
		vias(list(came, wire.Via), list(left, wire.Via)),
		hops(came, left),
		suffix("Record-Route", list(came, wire.RecordRoute), list(left, wire.RecordRoute), 2),
		routes(came, left),
		untouched(came, left))
}

// behind are all but the first.
func behind(values []string) []string { return values[min(1, len(values)):] }

// first is the first complaint.
func first(complaints ...string) string {
	for _, c := range complaints {
		if c != "" {
			return c
		}
	}
	return ""
}

func unlike[T []byte | []string](what string, came, left T) string {
	if fmt.Sprintf("%q", came) == fmt.Sprintf("%q", left) {
		return ""
	}
	return fmt.Sprintf("%s: %q became %q", what, came, left)
}

// list are the values of all fields of a name.
func list(m *wire.Message, n wire.Name) (all []string) {
	for values := m.Values(n); ; {
		v, _, ok := values.Next()
		if !ok {
			return all
		}
		all = append(all, string(v))
	}
}

// vias: ours in front, and where it came from noted on the one below.
func vias(came, left []string) string {
	switch {
	case len(left) != len(came)+1 || !strings.Contains(left[0], string(draft.BranchStart)):
		return fmt.Sprintf("Vias: %q became %q", came, left)
	case len(came) > 1:
		if c := unlike("lower Vias", came[1:], left[2:]); c != "" {
			return c
		}
	}
	was, ok := wire.ParseVia([]byte(came[0]))
	is, ok2 := wire.ParseVia([]byte(left[1]))
	if !ok || !ok2 {
		return fmt.Sprintf("Via: %q became %q", came[0], left[1])
	}
	return first(unlike("Via host", was.Host, is.Host), unlike("Via branch", was.Branch, is.Branch))
}

// hops: Max-Forwards is one less, or 70.
func hops(came, left *wire.Message) string {
	want := came.Number(wire.MaxForwards) - 1
	if came.Count(wire.MaxForwards) == 0 {
		want = 70
	}
	if got := left.Number(wire.MaxForwards); got != want || left.Count(wire.MaxForwards) != 1 {
		return fmt.Sprintf("Max-Forwards is %d, not %d", got, want)
	}
	return ""
}

// suffix: nothing was added but at most so many values in front.
func suffix(what string, came, left []string, most int) string {
	if added := len(left) - len(came); added < 0 || added > most {
		return fmt.Sprintf("%s: %q became %q", what, came, left)
	}
	return unlike(what, came, left[len(left)-len(came):])
}

// routes: some were taken off the top. A strict router on the way makes the
// Request-URI and the last Route change places, or the first one come in its place.
func routes(came, left *wire.Message) string {
	was, is := uris(came), uris(left)
	uri, all := was[:1], was[1:]
	for n := range len(all) + 1 {
		rest := all[n:] // without those that named us
		ways := [][]string{slices.Concat(uri, rest)}
		if len(rest) > 0 {
			ways = append(ways, slices.Concat(rest, uri), rest) // on to a strict router, after another one
		}
		if last := len(all) - 1; n <= last {
			ways = append(ways, slices.Concat(all[last:], all[n:last])) // a strict router's work undone
		}
		if slices.ContainsFunc(ways, func(way []string) bool { return slices.Equal(way, is) }) {
			return ""
		}
	}
	return unlike("Request-URI and Routes", was, is)
}

// uris are the Request-URI and those of all Routes.
func uris(m *wire.Message) []string {
	all := []string{string(m.URI)}
	for _, v := range list(m, wire.Route) {
		uri, _, _ := wire.Address([]byte(v))
		all = append(all, string(uri))
	}
	return all
}

// untouched: all other fields are the same lines in the same order, and so is the
// body. Only a message without Content-Length gets one where it enters a stream.
func untouched(came, left *wire.Message) string {
	was, is := others(came), others(left)
	if came.Length < 0 && left.Length >= 0 {
		is = strings.Replace(is, fmt.Sprintf("Content-Length: %d\r\n", left.Length), "", 1)
	}
	if was != is {
		return fmt.Sprintf("fields:\n%q\nbecame\n%q", was, is)
	}
	return unlike("body", came.Raw[came.Body:], left.Raw[left.Body:])
}

func others(m *wire.Message) string {
	var b bytes.Buffer
	for _, l := range m.Lines {
		switch l.Name { //nolint:exhaustive // the rest is not ours
		case wire.Via, wire.MaxForwards, wire.RecordRoute, wire.Route:
		default:
			b.Write(m.Raw[l.Start:l.End])
		}
	}
	return b.String()
}

// answers: it is an answer to the request, with its Vias and what names it.
func answers(came, left *wire.Message) string {
	for _, n := range []wire.Name{wire.CallID, wire.CSeq, wire.From} {
		was, _ := came.Value(n)
		is, _ := left.Value(n)
		if c := unlike(n.String(), was, is); c != "" {
			return c
		}
	}
	was, is := list(came, wire.Via), list(left, wire.Via)
	if len(was) == 0 || len(was) != len(is) {
		return fmt.Sprintf("Vias: %q became %q", was, is)
	}
	return unlike("lower Vias", was[1:], is[1:])
}
