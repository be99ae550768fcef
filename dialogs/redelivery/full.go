package redelivery

import (
	"bytes"
	"encoding/xml"
	"io"
	"mime/multipart"
	"strings"

	"rewatch/dialogs/aor"
)

// maxProlog bounds what is read of a body to find its root element.
const maxProlog = 64 << 10

// Full tells whether the body of a NOTIFY is a whole state, after which nobody needs the
// ones before. Content types whose bodies always are: PIDF (RFC 3863) and message
// summaries (RFC 3842). Others say so in their root element: watcherinfo (RFC 3858),
// reginfo (RFC 3680), dialog-info (RFC 4235), conference-info (RFC 4575), partial PIDF
// (RFC 5263) and the list that is the root of a multipart (RFC 4662). What cannot be read, or
// is compressed, is not.
func Full(contentType, contentEncoding string, body []byte) bool {
	if contentEncoding != "" && !strings.EqualFold(contentEncoding, "identity") {
		return false
	}
	if len(body) == 0 {
		return false
	}
	kind, parameters := mediaType(contentType)
	switch kind {
	case "application/pidf+xml", "application/simple-message-summary":
		return true
	case "multipart/related":
		return fullList(parameters, body)
	case "application/watcherinfo+xml", "application/reginfo+xml", "application/dialog-info+xml":
		return rootAttribute(body, "state") == "full"
	case "application/conference-info+xml": // full is its default
		root, ok := rootOf(body)
		state := attribute(root, "state")
		return ok && (state == "full" || state == "")
	case "application/rlmi+xml":
		return isTrue(rootAttribute(body, "fullState"))
	case "application/pidf-diff+xml":
		root, ok := rootOf(body)
		return ok && root.Name.Local == "pidf-full"
	}
	return false
}

// mediaType splits a Content-Type. What it is does not depend on parameters that are malformed,
// such as a type of a multipart without quotes.
func mediaType(s string) (kind, parameters string) {
	kind, parameters, _ = strings.Cut(s, ";")
	return strings.ToLower(strings.Join(strings.Fields(kind), "")), parameters // RFC 3261 25.1 has white space around the slash
}

// fullList tells whether the root of a multipart is a list document of full state: the part
// that the start parameter names, else the first (RFC 2387 3.2).
func fullList(parameters string, body []byte) bool {
	parameter := func(name string) string {
		return string(bytes.Trim(aor.Param([]byte(parameters), name), `"`))
	}
	boundary, start := parameter("boundary"), parameter("start")
	if boundary == "" {
		return false
	}
	full := false
	for parts, n := multipart.NewReader(bytes.NewReader(body), boundary), 0; ; n++ {
		part, err := parts.NextRawPart()
		if err != nil {
			return full
		}
		named := start != "" && part.Header.Get("Content-ID") == start
		if n > 0 && !named {
			continue
		}
		if full = isFullList(part); named || start == "" {
			return full
		}
	}
}

func isFullList(part *multipart.Part) bool {
	if kind, _ := mediaType(part.Header.Get("Content-Type")); kind != "application/rlmi+xml" {
		return false
	}
	list, err := io.ReadAll(io.LimitReader(part, maxProlog))
	return err == nil && isTrue(rootAttribute(list, "fullState"))
}

// isTrue reads an xs:boolean.
func isTrue(s string) bool { return s == "true" || s == "1" }

// rootAttribute is an attribute of the root element; empty if there is none.
func rootAttribute(body []byte, name string) string {
	root, _ := rootOf(body)
	return attribute(root, name)
}

func attribute(root xml.StartElement, name string) string {
	for _, a := range root.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// rootOf finds the root element of an XML document, and reads no further.
func rootOf(body []byte) (xml.StartElement, bool) {
	d := xml.NewDecoder(io.LimitReader(bytes.NewReader(body), maxProlog))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // names are ASCII
	for {
		t, err := d.RawToken()
		if err != nil {
			return xml.StartElement{}, false
		}
		if start, ok := t.(xml.StartElement); ok {
			return start, true
		}
	}
}
