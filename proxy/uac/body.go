package uac

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	template "github.com/DataDog/datadog-agent/pkg/template/text"

	"rewatch/dialogs"
	"rewatch/policy"
)

// maxValue bounds one value of the body: the Call-ID of a peer may be very long.
const maxValue = 256

// Data is what a template of the MESSAGE is given.
type Data struct {
	AOR         string
	Attempt, Of int
	Broken      []Lost
	// More is how many subscriptions broke beyond Broken.
	More int
}

// Lost is one broken subscription in Data.
type Lost struct{ Event, Resource, CallID, Cause string }

// ParseTemplate reads a template of the MESSAGE body. An error names the line.
// The template is tried with example values, so that a field that does not exist is found now,
// and not when the first NOTIFY fails.
func ParseTemplate(text string) (*template.Template, error) {
	t, err := template.New("message").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	sample := Data{
		AOR: "sip:alice@ims.example", Attempt: 1, Of: 3, More: 1,
		Broken: []Lost{{"presence", "sip:bob@ims.example", "1@server", "408 Request Timeout"}},
	}
	var out bytes.Buffer
	if err := t.Execute(&out, sample); err != nil {
		return nil, err
	}
	return t, nil
}

// opening is the first line of the default body, and all of it where there is no room for
// more.
const opening = "Subscription lost; please subscribe again.\r\n"

// errTooLong says that addresses leave no room for a body.
var errTooLong = errors.New("the addresses are too long for a MESSAGE of 1300 bytes")

// body writes the text for a watcher in at most room bytes: as many of the
// broken subscriptions as fit, and the number of the others.
func (c *Client) body(m dialogs.MessageJob, room int) ([]byte, error) {
	data := dataOf(m)
	for {
		text, err := c.write(data)
		if err != nil {
			return nil, err
		}
		switch {
		case len(text) <= room:
			return text, nil
		case len(data.Broken) > 0:
		case c.template.Load() != nil:
			return nil, fmt.Errorf("message template gives %d bytes, room is for %d", len(text), room)
		case len(opening) <= room:
			return []byte(opening), nil
		default:
			return nil, errTooLong
		}
		data.Broken = data.Broken[:len(data.Broken)-1]
		data.More++
	}
}

func (c *Client) write(data Data) ([]byte, error) {
	t := c.template.Load()
	if t == nil {
		return plain(data), nil
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("message template: %w", err)
	}
	return out.Bytes(), nil
}

// plain is the default body: lines that a person and a client can read.
func plain(data Data) []byte {
	var b strings.Builder
	line := func(s string) { b.WriteString(s + "\r\n") }
	b.WriteString(opening)
	for i, l := range data.Broken {
		if i > 0 {
			line("")
		}
		line("Event: " + l.Event)
		line("Resource: " + l.Resource)
		line("Call-ID: " + l.CallID)
		line("Cause: " + l.Cause)
	}
	line(fmt.Sprintf("Attempt: %d of %d", data.Attempt, data.Of))
	if data.More > 0 {
		line(fmt.Sprintf("And: %d more", data.More))
	}
	return []byte(b.String())
}

func dataOf(m dialogs.MessageJob) Data {
	data := Data{AOR: value(m.AOR), Attempt: m.Attempt, Of: m.Of, More: m.More}
	for _, b := range m.Broken {
		data.Broken = append(data.Broken, lost(b))
	}
	return data
}

func lost(b policy.Broken) Lost {
	return Lost{Event: value(b.Event), Resource: value(b.Resource), CallID: value(b.CallID), Cause: value(b.Cause)}
}

// value makes a value from the network fit for one line of the body.
func value(s string) string {
	s = clean(s)
	if len(s) <= maxValue {
		return s
	}
	cut := maxValue
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
