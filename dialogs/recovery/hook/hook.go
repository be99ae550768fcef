// Package hook signs users out by HTTP instead of by REGISTER, for cores whose S-CSCF
// challenges every REGISTER: it asks the operator's own system, such as the management
// interface of the S-CSCF, to end the registration.
//
// The Actor here is wrapped around the one that sends SIP, which does all else: MESSAGEs, and the
// de-REGISTER to the presence server. The engine calls it from goroutines of its own, away from
// the SIP path, bounds their number and rate, and tries again with growing pauses.
package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rewatch/dialogs"
)

// DefaultTimeout bounds one request, from the connection to the end of the answer.
const DefaultTimeout = 5 * time.Second

// Config says how an Actor signs users out.
type Config struct {
	// Request is "METHOD URL" with placeholders; see Parse.
	Request string
	// Body is sent as JSON, its placeholders escaped for a JSON string; empty: none.
	Body string
	// Token is sent as "Authorization: Bearer"; empty: none.
	Token string
	// Client sends the requests; nil: one that verifies TLS as the system does.
	Client *http.Client
	// Timeout bounds one request; 0 is DefaultTimeout.
	Timeout time.Duration
}

// Actor signs users out by HTTP. It has no goroutine of its own.
type Actor struct {
	dialogs.Actor

	request template
	body    string
	token   string
	client  *http.Client
	timeout time.Duration
}

// New returns an Actor that signs users out by HTTP; rest does all else. The error says what is wrong
// with the request or its body.
func New(cfg Config, rest dialogs.Actor) (*Actor, error) {
	t, err := parse(cfg.Request)
	if err != nil {
		return nil, err
	}
	if err := CheckBody(cfg.Body); err != nil {
		return nil, err
	}
	a := &Actor{Actor: rest, request: t, body: cfg.Body, token: cfg.Token, client: cfg.Client, timeout: cfg.Timeout}
	if a.client == nil {
		a.client = &http.Client{}
	}
	if a.timeout <= 0 {
		a.timeout = DefaultTimeout
	}
	own := *a.client
	// The configured system itself has to say that the user is signed out. A redirect, perhaps to
	// a login page, does not, and no other host may get the token.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a.client = &own
	return a, nil
}

// Deregister asks the operator's system to end the registration of a user. 2xx means that it has
// ended, 404 that there was none. 401 and 403 are dialogs.ErrRefused: another try with the same
// credentials is of no use.
func (a *Actor) Deregister(ctx context.Context, j dialogs.DeregisterJob) dialogs.Result {
	if j.Target != dialogs.AtCore {
		return a.Actor.Deregister(ctx, j)
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	req, err := a.draft(ctx, valuesOf(j))
	if err != nil {
		return dialogs.Result{Err: fmt.Errorf("sign-out hook: %w", withoutURL(err))}
	}
	res, err := a.client.Do(req)
	if err != nil {
		return dialogs.Result{Err: fmt.Errorf("sign-out hook: %w", withoutURL(err))}
	}
	// What is left unread would keep the connection from being used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	_ = res.Body.Close()
	return outcome(res)
}

// outcome makes a Result of the answer.
func outcome(res *http.Response) dialogs.Result {
	r := dialogs.Result{Status: res.StatusCode, Reason: "HTTP " + res.Status}
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
	case code == http.StatusNotFound:
		r.Status, r.Reason = http.StatusOK, "already gone (HTTP "+res.Status+")"
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		r.Err = fmt.Errorf("sign-out hook: HTTP %s: %w", res.Status, dialogs.ErrRefused)
	default:
		r.Err = fmt.Errorf("sign-out hook: HTTP %s", res.Status)
	}
	return r
}

// draft makes the request for one user.
func (a *Actor) draft(ctx context.Context, v values) (*http.Request, error) {
	var body io.Reader
	if a.body != "" {
		body = strings.NewReader(v.fill(a.body, jsonString))
	}
	req, err := http.NewRequestWithContext(ctx, a.request.method, v.fill(a.request.url, percent), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "rewatch")
	if a.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	return req, nil
}

// withoutURL takes the URL out of an error of package http: it may hold a secret, and
// the address of a user.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
