package uac

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/icholy/digest"

	"rewatch/dialogs"
)

func sum(s string) string {
	h := md5.Sum([]byte(s))
	return hex.EncodeToString(h[:])
}

// checkDigest computes the response anew, by RFC 2617 3.2.2 and not by the library.
func checkDigest(t *testing.T, auth, method, uri, nonce string) {
	t.Helper()
	c, err := digest.ParseCredentials(auth)
	if err != nil {
		t.Fatalf("%q: %v", auth, err)
	}
	want := sum(strings.Join([]string{
		sum("rewatch:ims.example:secret"), nonce, "00000001", c.Cnonce, "auth", sum(method + ":" + uri),
	}, ":"))
	if c.Response != want || c.Username != "rewatch" || c.URI != uri || c.Nonce != nonce || c.Cnonce == "" {
		t.Errorf("credentials %s, want response %s", auth, want)
	}
}

func withPassword(c *Config) { c.User, c.Password = "rewatch", "secret" }

func challenge(nonce string, more string) string {
	return fmt.Sprintf(`WWW-Authenticate: Digest realm="ims.example", nonce=%q, qop="auth-int, auth", algorithm=MD5%s`, nonce, more)
}

func TestDigest(t *testing.T) {
	tests := []struct {
		name    string
		answers []string // challenges, in order; then 200
		status  int
		sent    int
	}{
		{"once", []string{challenge("n1", "")}, 200, 2},
		{"stale", []string{challenge("n1", ""), challenge("n2", ", stale=true")}, 200, 3},
		{"wrong password", []string{challenge("n1", ""), challenge("n2", "")}, 401, 2},
		{"stale for ever", []string{
			challenge("n1", ""), challenge("n2", ", stale=true"), challenge("n3", ", stale=true"), challenge("n4", ", stale=true"),
		}, 401, 3},
		{"scheme unknown", []string{`WWW-Authenticate: Digest realm="r", nonce="n", algorithm=AKAv1-MD5`}, 401, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t, func(n int, s sent) []string {
					if n > len(tt.answers) {
						return []string{respond(s, "200 OK")}
					}
					return []string{respond(s, "401 Unauthorized", tt.answers[n-1])}
				}, withPassword)
				r := p.client.Deregister(context.Background(), signOut)
				s := p.done()
				if r.Status != tt.status || len(s) != tt.sent {
					t.Fatalf("%+v after %d requests", r, len(s))
				}
				for i, s := range s {
					if got, want := header(s.text, "CSeq"), fmt.Sprintf("%d REGISTER", i+1); got != want {
						t.Errorf("CSeq %s, want %s", got, want)
					}
					if header(s.text, "Call-ID") != header(p.sent[0].text, "Call-ID") {
						t.Error("Call-ID changed")
					}
					if i > 0 {
						checkDigest(t, header(s.text, "Authorization"), "REGISTER", "sip:ims.example", fmt.Sprintf("n%d", i))
					}
				}
			})
		})
	}
}

func TestProxyAndRegistrarChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(n int, s sent) []string {
			switch n {
			case 1:
				return []string{respond(s, "407 Proxy Authentication Required", strings.Replace(challenge("p1", ""), "WWW", "Proxy", 1))}
			case 2:
				return []string{respond(s, "401 Unauthorized", challenge("w1", ""))}
			}
			return []string{respond(s, "200 OK")}
		}, withPassword)
		if r := p.client.Deregister(context.Background(), signOut); !r.OK() {
			t.Fatalf("%+v", r)
		}
		last := p.done()[2].text
		// "Proxy-Authenticate" is the challenge, "Proxy-Authorization" the answer.
		checkDigest(t, header(last, "Proxy-Authorization"), "REGISTER", "sip:ims.example", "p1")
		checkDigest(t, header(last, "Authorization"), "REGISTER", "sip:ims.example", "w1")
	})
}

func TestNoPasswordNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("401 Unauthorized", challenge("n1", "")))
		if r := p.client.Message(context.Background(), alice); r.Status != 401 || len(p.done()) != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// A MESSAGE and a NOTIFY reach a phone, which can answer them with a challenge too. A digest is
// made only upon a nonce that the next hop itself gives, to a MESSAGE that reaches no phone.
func TestDigestIsForNoPhone(t *testing.T) {
	const ok, notFound, silent = "200 OK", "404 Not Found", ""
	by := func(status, nonce, more string) string {
		header := "WWW-Authenticate"
		if status == "407" {
			header = "Proxy-Authenticate"
		}
		return status + " Who\n" + strings.Replace(challenge(nonce, more), "WWW-Authenticate", header, 1)
	}
	for _, tt := range []struct {
		name string
		// user answers the MESSAGEs to the user, in order, hop those to nobody.
		user, hop []string
		status    int
		digests   string // the nonces upon which the digests were made
	}{
		{"no challenge", []string{ok}, nil, 200, ""},
		{"the hop", []string{by("401", "first", ""), ok}, []string{by("401", "hop", "")}, 200, "hop"},
		{"the hop, a proxy", []string{by("407", "first", ""), ok}, []string{by("407", "hop", "")}, 200, "hop"},
		{"the hop, stale", []string{by("407", "first", ""), by("407", "second", ", stale=true"), ok}, []string{by("407", "hop", ""), by("407", "hop2", "")}, 200, "hop hop2"},
		{"the hop, wrong password", []string{by("407", "first", ""), by("407", "second", "")}, []string{by("407", "hop", "")}, 407, "hop"},
		{"a phone", []string{by("401", "mine", "")}, []string{notFound}, 401, ""},
		{"a phone as a proxy", []string{by("407", "mine", "")}, []string{notFound}, 407, ""},
		{"a phone, where nobody takes anything", []string{by("407", "mine", "")}, []string{ok}, 407, ""},
		{"a phone, and the hop is silent", []string{by("401", "mine", "")}, []string{silent}, 401, ""},
		{"a phone behind a hop that challenges", []string{by("407", "first", ""), by("401", "mine", "")}, []string{by("407", "hop", ""), by("407", "hop2", "")}, 401, "hop"},
		{"a phone, stale", []string{by("407", "first", ""), by("407", "mine", ", stale=true"), by("407", "mine", ", stale=true")}, []string{by("407", "hop", ""), by("407", "hop2", "")}, 407, "hop hop2"},
		{"another scheme", []string{"401 Who\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=AKAv1-MD5"}, nil, 401, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var digests []string
				users, hops := tt.user, tt.hop
				p := newPeer(t, func(_ int, s sent) []string {
					from := &hops
					if strings.HasPrefix(s.text, "MESSAGE "+alice.AOR+" ") {
						from = &users
					} else if !strings.Contains(s.text, "@scscf.ims.example SIP/2.0\r\n") || bodyOf(s.text) != "" || header(s.text, "Route") != "<sip:scscf.ims.example:6060;lr>" {
						t.Errorf("to nobody:\n%s", s.text)
					}
					if auth := header(s.text, "Authorization") + header(s.text, "Proxy-Authorization"); auth != "" {
						c, err := digest.ParseCredentials(auth)
						if err != nil {
							t.Fatal(err)
						}
						digests = append(digests, c.Nonce)
						checkDigest(t, auth, "MESSAGE", alice.AOR, c.Nonce)
					}
					if len(s.text) >= maxMessage {
						t.Errorf("%d bytes", len(s.text))
					}
					if len(*from) == 0 {
						t.Errorf("one too many:\n%s", s.text)
						return []string{respond(s, "500 Too Many")}
					}
					status, more, _ := strings.Cut((*from)[0], "\n")
					if status == silent {
						return nil
					}
					*from = (*from)[1:]
					return []string{respond(s, status, more)}
				}, withPassword)
				r := p.client.Message(context.Background(), alice)
				p.done()
				if got := strings.Join(digests, " "); r.Status != tt.status || got != tt.digests || len(users) != 0 {
					t.Errorf("%+v, digests upon %q, want %d, %q", r, got, tt.status, tt.digests)
				}
				if time.Since(p.start) > 2*challengeWait {
					t.Errorf("it took %v", time.Since(p.start))
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("401 Unauthorized", challenge("mine", "")), withPassword)
		r := p.client.Terminate(context.Background(), dialogs.TerminateJob{Head: []byte(failedHead), CSeq: 8})
		if r.Status != 401 || len(p.done()) != 1 {
			t.Errorf("NOTIFY: %+v", r)
		}
	})
}
