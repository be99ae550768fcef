package ident

import (
	"bytes"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
)

// A device is identified by +sip.instance (RFC 5626 4.1) or by its GRUU (RFC 5627), if one
// was seen, else by its Contact: user part, host and port.

// maxDevice bounds the identity of a device, in bytes; a longer one is ignored.
const maxDevice = 256

// Device gives the identity of the device in a Contact, empty if there is none. The gr
// parameter of a public GRUU is the instance. A temporary GRUU has no value there; it is
// identified by its user part.
func Device(c *dialogs.Contact) []byte {
	if id := bytes.Trim(c.Instance, "<> \t"); len(id) > 0 {
		return identityOf(id)
	}
	return identityOf(c.GRUU)
}

func identityOf(id []byte) []byte {
	if len(id) > maxDevice || !isPlain(id) {
		return nil
	}
	return id
}

// uriParam is a parameter of a URI, empty if it has none or no value.
func uriParam(uri []byte, name string) []byte {
	if i := bytes.IndexByte(uri, '@'); i >= 0 {
		uri = uri[i+1:]
	}
	uri, _, _ = bytes.Cut(uri, []byte{'?'})
	_, params, _ := bytes.Cut(uri, []byte{';'})
	return aor.Param(params, name)
}

// resourceParams are the URI parameters that name another resource than the bare URI: a
// device (RFC 5627) or a list of a user.
var resourceParams = [...]string{"gr", "pres-list"}

// AppendResource appends the canonical URI of a resource.
func AppendResource(dst, uri []byte) ([]byte, bool) {
	dst, ok := aor.Append(dst, uri)
	if !ok {
		return dst, false
	}
	for _, name := range resourceParams {
		if v := uriParam(uri, name); len(v) > 0 && isPlain(v) && len(dst)+len(v) < aor.MaxURI {
			dst = append(append(append(append(dst, ';'), name...), '='), v...)
		}
	}
	return dst, true
}

// Resource is the URI of the resource of a SUBSCRIBE: its To, or the Request-URI if only that
// one names a list or a device of the same user.
func Resource(to, request []byte) []byte {
	var scratch [2][aor.MaxScratch]byte
	a, ok := aor.Append(scratch[0][:0], to)
	b, same := aor.Append(scratch[1][:0], request)
	if !ok || !same || !bytes.Equal(a, b) {
		return to
	}
	for _, name := range resourceParams {
		if len(uriParam(to, name)) > 0 {
			return to
		}
	}
	return request
}
