package uac

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// authorizer answers the challenges to one request. A registrar and a proxy may
// each challenge it once; a stale nonce is renewed once more. Another challenge means that the
// password is wrong, and further attempts might lock the account.
type authorizer struct {
	answered []string
	renewed  bool
}

// answer puts credentials into the draft; true: it is to be sent again.
func (a *authorizer) answer(c *Client, d *draft, res *sip.Response) bool {
	challenge, header := "WWW-Authenticate", "Authorization"
	switch res.StatusCode {
	case sip.StatusUnauthorized:
	case sip.StatusProxyAuthRequired:
		challenge, header = "Proxy-Authenticate", "Proxy-Authorization"
	default:
		return false
	}
	if c.cfg.User == "" {
		return false
	}
	chal := pick(res.GetHeaders(challenge))
	if chal == nil || !a.allow(header, chal.Stale) {
		return false
	}
	cred, err := digest.Digest(chal, digest.Options{
		Method:   string(d.method),
		URI:      d.uri,
		GetBody:  func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(d.body)), nil },
		Count:    1,
		Username: c.cfg.User,
		Password: c.cfg.Password,
		Cnonce:   c.ids.hex(8),
	})
	if err != nil {
		return false
	}
	d.credentials = slices.DeleteFunc(d.credentials, func(f field) bool { return f.name == header })
	d.credentials = append(d.credentials, field{header, clean(cred.String())})
	return true
}

func (a *authorizer) allow(header string, stale bool) bool {
	if !slices.Contains(a.answered, header) {
		a.answered = append(a.answered, header)
		return true
	}
	if !stale || a.renewed {
		return false
	}
	a.renewed = true
	return true
}

// pick takes the first challenge that we can answer; the server lists them in
// the order of its preference (RFC 8760 2.4).
func pick(headers []sip.Header) *digest.Challenge {
	for _, h := range headers {
		chal, err := digest.ParseChallenge(h.Value())
		if err != nil {
			continue
		}
		for i, qop := range chal.QOP {
			chal.QOP[i] = strings.TrimSpace(qop)
		}
		if digest.CanDigest(chal) {
			return chal
		}
	}
	return nil
}
