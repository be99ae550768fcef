package uac

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// authorizer answers the challenges to one request. A registrar and a proxy may
// each challenge it once; a stale nonce is renewed once more. Another challenge means that the
// password is wrong, and further attempts might lock the account.
//
// A phone can answer our MESSAGE or NOTIFY with a challenge as well, and would get a digest of
// the password upon a nonce of its choice. So a digest is made only upon a challenge that no
// phone can have written: to a REGISTER, which ends at the registrar, or to a MESSAGE to nobody
// (challengeOf). A NOTIFY gets none, for nobody challenges those of the server.
type authorizer struct {
	answered []string
	renewed  bool
}

// answer puts credentials into the draft; true: it is to be sent again to the target that has
// answered.
func (a *authorizer) answer(ctx context.Context, c *Client, d *draft, res *sip.Response, at []target) bool {
	chal, header := challengeIn(res)
	if chal == nil || c.cfg.User == "" || d.method == sip.NOTIFY || !a.allow(header, chal.Stale) {
		return false
	}
	if d.method != sip.REGISTER {
		if chal = c.challengeOf(ctx, at[0], header); chal == nil {
			return false
		}
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

// challengeWait is how long a hop has to challenge a MESSAGE to nobody.
const challengeWait = 4 * time.Second

// challengeOf asks a hop for its own challenge: it gets a MESSAGE to a user of its own that nobody
// can have registered. Nil: it does not challenge, so it was somebody beyond it who did.
func (c *Client) challengeOf(ctx context.Context, at target, header string) *digest.Challenge {
	uri := "sip:" + c.ids.hex(16) + "@" + domain(bareURI(at.route))
	d := c.start(sip.MESSAGE, uri, uri)
	d.add("P-Asserted-Identity", "<"+c.cfg.Identity+">")
	c.addOwn(d)
	w, err := c.render(d, at)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, challengeWait)
	defer cancel()
	res, err := c.transact(ctx, at.hop, w, func() {})
	if err != nil {
		return nil
	}
	chal, own := challengeIn(res)
	if own != header {
		return nil
	}
	return chal
}

// challengeIn is the challenge of a response that can be answered, and the header for the answer;
// nil: there is none.
func challengeIn(res *sip.Response) (chal *digest.Challenge, header string) {
	switch res.StatusCode {
	case sip.StatusUnauthorized:
		return pick(res.GetHeaders("WWW-Authenticate")), "Authorization"
	case sip.StatusProxyAuthRequired:
		return pick(res.GetHeaders("Proxy-Authenticate")), "Proxy-Authorization"
	}
	return nil, ""
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
