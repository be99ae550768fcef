package wire

import "bytes"

// Content gives the Content-Type, the Content-Encoding and the body of a message, empty
// where it has none. It is for rare uses: forwarding does not need it.
func Content(raw []byte) (kind, encoding string, body []byte) {
	var m Message
	if Scan(raw, &m) != nil {
		return "", "", nil
	}
	for i := range m.Lines {
		l := &m.Lines[i]
		name, _, _ := bytes.Cut(m.Raw[l.Start:l.End], []byte{':'})
		switch name = bytes.TrimSpace(name); {
		case EqualFold(name, "content-type"), EqualFold(name, "c"):
			kind = string(m.At(i))
		case EqualFold(name, "content-encoding"), EqualFold(name, "e"):
			encoding = string(m.At(i))
		}
	}
	return kind, encoding, m.Raw[m.Body:]
}
