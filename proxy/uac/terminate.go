package uac

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"

	"rewatch/dialogs"
)

var errHead = errors.New("head of the failed NOTIFY cannot be used")

// Terminate ends a subscription at the watcher with an in-dialog NOTIFY
// (RFC 6665 4.1.3): "deactivated" asks it to subscribe again at once. It is the failed NOTIFY
// with another CSeq and state and without a body, so that it takes the same route.
func (c *Client) Terminate(ctx context.Context, j dialogs.TerminateJob) dialogs.Result {
	d, next, err := termination(j)
	if err != nil {
		return dialogs.Result{Err: err}
	}
	targets, err := c.direct(ctx, dialogs.Core, next)
	if err != nil {
		return dialogs.Result{Err: err}
	}
	return result(c.exchange(ctx, d, targets))
}

// termination drafts the NOTIFY from the head of the failed one, and gives the
// URI of its next hop.
func termination(j dialogs.TerminateJob) (d *draft, next string, err error) {
	uri, lines, err := parseHead(j.Head)
	if err != nil {
		return nil, "", err
	}
	d = &draft{method: sip.NOTIFY, uri: uri, cseq: j.CSeq}
	next = uri
	routed := false
	d.add("Max-Forwards", "70")
	for _, h := range lines {
		if !kept(h.name) {
			continue
		}
		if strings.EqualFold(h.name, "Route") && !routed {
			routed = true
			next = nextHop(uri, h.value)
		}
		d.headers = append(d.headers, h)
	}
	d.add("Subscription-State", "terminated;reason=deactivated")
	return d, next, nil
}

// nextHop is the first Route if it is a loose router. For a strict router the head was rewritten
// when it was forwarded, and the Request-URI is the next hop (RFC 3261 16.6 step 6).
func nextHop(uri, route string) string {
	list := values(route)
	if len(list) == 0 {
		return uri
	}
	if first := bareURI(list[0]); hasParam(first, "lr") {
		return first
	}
	return uri
}

// parseHead reads the start line and the headers of a request; folded lines are
// joined.
func parseHead(head []byte) (uri string, fields []field, err error) {
	lines := strings.Split(string(bytes.ReplaceAll(head, []byte("\r\n"), []byte("\n"))), "\n")
	start := strings.Fields(lines[0])
	if len(start) != 3 || start[0] != string(sip.NOTIFY) || !sound(start[1]) {
		return "", nil, fmt.Errorf("%w: %.80q", errHead, lines[0])
	}
	for _, line := range lines[1:] {
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if n := len(fields); n > 0 {
				fields[n-1].value += " " + clean(strings.TrimSpace(line))
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return "", nil, fmt.Errorf("%w: %.80q", errHead, line)
		}
		fields = append(fields, field{clean(strings.TrimSpace(name)), clean(strings.TrimSpace(value))})
	}
	return start[1], fields, nil
}

// kept says whether a header of the failed NOTIFY is sent again. Not sent are those that describe
// the body, credentials, which are valid for one CSeq, and Record-Route, because the dialog ends.
func kept(name string) bool {
	switch strings.ToLower(name) {
	case "via", "v", "record-route", "max-forwards", "cseq", "subscription-state",
		"authorization", "proxy-authorization":
		return false
	case "content-type", "c", "content-length", "l", "content-encoding", "e",
		"content-disposition", "content-language", "mime-version":
		return false
	}
	return true
}
